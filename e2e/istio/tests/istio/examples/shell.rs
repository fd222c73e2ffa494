//! One bash for a whole page, as somebody has a terminal: variables, folders and background jobs stay
//! from one command to the next.

use std::ffi::OsString;
use std::io::{BufRead as _, BufReader, PipeReader, Write as _};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

/// How long a command may take.
const PATIENCE: Duration = Duration::from_secs(150);

/// What is printed behind a command, with its exit code.
const END: &str = "\u{1}end of command ";

/// A bash that waits for commands; dropping it ends it with everything that it started.
pub struct Shell {
    child: Child,
    input: ChildStdin,
    lines: Receiver<String>,
}

impl Shell {
    /// Starts it in a folder with these variables.
    pub fn start(folder: &Path, variables: Vec<(&str, OsString)>) -> Self {
        let (output, ours) = std::io::pipe().unwrap();
        let mut child = Command::new("setsid")
            .args(["bash", "--norc", "--noprofile"])
            .current_dir(folder)
            .envs(variables)
            .env_remove("SLUICE_DIR")
            .env_remove("SLUICE_MODULE")
            .env_remove("ENVOY")
            .stdin(Stdio::piped())
            .stdout(ours.try_clone().unwrap())
            .stderr(ours)
            .spawn()
            .expect("bash");
        let input = child.stdin.take().unwrap();
        Self {
            child,
            input,
            lines: lines_of(output),
        }
    }

    /// Runs a command to its end: its exit code, and everything that was printed meanwhile.
    pub fn run(&mut self, command: &str) -> (i32, String) {
        let quoted = command.replace('\'', r"'\''");
        // By eval, so that a mistake in it is its own and not that of what follows.
        writeln!(
            self.input,
            "eval '{quoted}' </dev/null; printf '\\n\\001end of command %d\\n' $?"
        )
        .unwrap();
        let began = Instant::now();
        let mut printed = Vec::new();
        loop {
            let left = PATIENCE.saturating_sub(began.elapsed());
            match self.lines.recv_timeout(left) {
                Ok(line) => match line.strip_prefix(END) {
                    Some(code) => {
                        // The line's end that was printed before ours.
                        if printed.last().is_some_and(String::is_empty) {
                            printed.pop();
                        }
                        return (code.parse().unwrap(), printed.join("\n"));
                    }
                    None => printed.push(line),
                },
                Err(RecvTimeoutError::Timeout) => {
                    panic!("took over {PATIENCE:?}: {command}\n{}", printed.join("\n"))
                }
                Err(RecvTimeoutError::Disconnected) => {
                    panic!("bash ended in: {command}\n{}", printed.join("\n"))
                }
            }
        }
    }
}

/// The lines that are written into a pipe, as they come.
fn lines_of(output: PipeReader) -> Receiver<String> {
    let (sender, lines) = channel();
    std::thread::spawn(move || {
        for line in BufReader::new(output).split(b'\n') {
            let Ok(line) = line else { return };
            if sender
                .send(String::from_utf8_lossy(&line).into_owned())
                .is_err()
            {
                return;
            }
        }
    });
    lines
}

impl Drop for Shell {
    fn drop(&mut self) {
        // The session's group: the bash, and what runs in its background.
        if let Some(group) = rustix::process::Pid::from_raw(self.child.id().cast_signed()) {
            let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
        }
        let _ = self.child.wait();
    }
}
