//! A directory with a plugin and a Rollout, and the processes on it.

use std::io::{BufRead as _, BufReader, Read as _};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};

use serde_json::Value;

/// How many seconds a run has to be refused in. Chosen: a hundred times what it takes.
const REFUSED_WITHIN: &str = "30";

/// A directory with a plugin and a Rollout.
pub(crate) struct Shop {
    folder: tempfile::TempDir,
}

/// What a command said.
#[derive(Debug)]
pub(crate) struct Said {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Shop {
    /// Whose Rollout `web` of v1 has these steps.
    pub(crate) fn new(steps: &str) -> Self {
        let shop = Self {
            folder: tempfile::tempdir().unwrap(),
        };
        shop.write("plugin.yaml", "splits: {web: {}}\n");
        shop.wants("v1", steps);
        shop
    }

    /// Writes the Rollout anew.
    pub(crate) fn wants(&self, version: &str, steps: &str) {
        let text = format!(
            "apiVersion: sluice.dev/v1alpha1\nkind: Rollout\nmetadata: {{name: web}}\n\
             spec: {{split: web, version: {version}, steps: {steps}}}\n"
        );
        self.write("rollout.yaml", &text);
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn write(&self, name: &str, text: &str) {
        let path = self.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    pub(crate) fn command(&self, arguments: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_sluice"));
        command
            .args(arguments.split(' '))
            .current_dir(self.path())
            .env_clear()
            .env("USER", "ann");
        command
    }

    pub(crate) fn sluice(&self, arguments: &str) -> Said {
        let output = self.command(arguments).output().unwrap();
        Said {
            code: output.status.code().unwrap(),
            out: String::from_utf8(output.stdout).unwrap(),
            err: String::from_utf8(output.stderr).unwrap(),
        }
    }

    /// Runs the Rollout.
    pub(crate) fn run(&self) -> Running {
        self.begin("rollout run -f rollout.yaml --dir . -o json")
    }

    /// Runs it as one that must be refused: should it be let in, `timeout` of coreutils kills it
    /// before long.
    pub(crate) fn run_refused(&self) -> Running {
        let run = self.command("rollout run -f rollout.yaml --dir . -o json");
        let mut command = Command::new("timeout");
        command
            .args(["--signal=KILL", "--foreground", REFUSED_WITHIN])
            .arg(run.get_program())
            .args(run.get_args())
            .current_dir(self.path())
            .env_clear()
            .env("USER", "ann");
        begun(command)
    }

    pub(crate) fn begin(&self, arguments: &str) -> Running {
        begun(self.command(arguments))
    }

    /// Begins a command in a terminal of its own (`script` of util-linux).
    pub(crate) fn begin_in_terminal(&self, arguments: &str) -> Running {
        let typed = format!("{} {arguments}", env!("CARGO_BIN_EXE_sluice"));
        let mut command = Command::new("script");
        command
            .args(["-qec", &typed, "/dev/null"])
            .current_dir(self.path())
            .env("USER", "ann");
        begun(command)
    }

    /// The weight of everyone's canary.
    pub(crate) fn weight(&self) -> f64 {
        let shares = self.json("get web -o json");
        let mut shares = shares.as_array().unwrap().iter();
        let canary = shares.find(|share| share["variant"] == "canary").unwrap();
        canary["percent"].as_f64().unwrap()
    }

    /// Every weight that everyone's canary was given, in order.
    pub(crate) fn weights(&self) -> Vec<f64> {
        let entries = self.json("history web -o json");
        let changes = entries.as_array().unwrap().iter();
        changes
            .flat_map(|entry| entry["changes"].as_array().unwrap())
            .map(|change| change["to"].as_f64().unwrap())
            .collect()
    }

    pub(crate) fn json(&self, arguments: &str) -> Value {
        let said = self.sluice(arguments);
        serde_json::from_str(&said.out).unwrap_or_else(|error| panic!("{error}: {said:?}"))
    }

    /// What the Rollout does.
    pub(crate) fn phase(&self) -> String {
        let view = self.json("rollout status web -o json");
        view["status"]["phase"].as_str().unwrap().to_owned()
    }
}

/// A process; it ends with the test.
pub(crate) struct Running {
    child: Child,
    lines: BufReader<ChildStdout>,
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Running {
    /// The next line; `None` at the end.
    pub(crate) fn line(&mut self) -> Option<String> {
        let mut line = String::new();
        let length = self.lines.read_line(&mut line).unwrap();
        (length > 0).then(|| line.trim_end().to_owned())
    }

    /// The next event: an object on one line.
    pub(crate) fn event(&mut self) -> Option<Value> {
        let line = self.line()?;
        let event = serde_json::from_str(&line);
        Some(event.unwrap_or_else(|error| panic!("{error}: {line}")))
    }

    /// Waits for an event of this kind at this step.
    pub(crate) fn until(&mut self, kind: &str, step: u64) -> Value {
        loop {
            let event = self
                .event()
                .unwrap_or_else(|| panic!("ended before {kind}"));
            if event["event"] == kind && event["step"] == step {
                return event;
            }
        }
    }

    /// The rest of the events, the exit code, and what it said besides.
    pub(crate) fn end(mut self) -> (Vec<Value>, i32, String) {
        let mut events = Vec::new();
        while let Some(event) = self.event() {
            events.push(event);
        }
        let (code, err) = self.ended();
        (events, code, err)
    }

    /// The exit code and what it said besides.
    pub(crate) fn ended(&mut self) -> (i32, String) {
        let mut err = String::new();
        let stderr = self.child.stderr.as_mut().unwrap();
        stderr.read_to_string(&mut err).unwrap();
        (self.child.wait().unwrap().code().unwrap(), err)
    }

    /// Ends it as a power cut would.
    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// As Ctrl-C does.
    pub(crate) fn interrupt(&self) {
        let pid = self.child.id().to_string();
        let sent = Command::new("kill").args(["-INT", &pid]).status().unwrap();
        assert!(sent.success());
    }
}

fn begun(mut command: Command) -> Running {
    let command = command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap());
    Running { child, lines }
}

/// The kinds of events, in order.
pub(crate) fn kinds(events: &[Value]) -> Vec<&str> {
    let kinds = events.iter().map(|event| event["event"].as_str().unwrap());
    kinds.collect()
}
