//! A child process with a log file.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::Signal;
use sluice_e2e::wait::until;

/// Linux counts in hundredths of a second on every architecture that Istio has (USER_HZ, times(2)).
const MILLISECONDS_A_TICK: u64 = 10;

/// A running process; dropping it ends it by its process id.
#[derive(Debug)]
pub struct Process {
    name: String,
    child: Child,
    log: PathBuf,
    /// Where what it wrote begins, in bytes.
    log_from: usize,
}

impl Process {
    /// Starts a command; its output goes to `<folder>/<name>.log`, behind what an earlier one of
    /// that name wrote.
    pub fn start(name: &str, folder: &Path, command: &mut Command) -> Self {
        let log = folder.join(format!("{name}.log"));
        let output = File::options()
            .create(true)
            .append(true)
            .open(&log)
            .unwrap();
        let log_from = output.metadata().unwrap().len() as usize;
        let command = command
            .stdin(Stdio::null())
            .stdout(output.try_clone().unwrap())
            .stderr(output);
        let child = command
            .spawn()
            .unwrap_or_else(|error| panic!("{name} cannot be started: {error}"));
        Self {
            name: name.to_owned(),
            child,
            log,
            log_from,
        }
    }

    /// What it logged, and no earlier one of its name.
    pub fn log(&self) -> String {
        let all = std::fs::read(&self.log).unwrap_or_default();
        String::from_utf8_lossy(all.get(self.log_from..).unwrap_or_default()).into_owned()
    }

    /// Waits until something holds; fails when the process ends before, or that takes too long.
    pub async fn wait_until(&mut self, what: &str, mut holds: impl AsyncFnMut() -> bool) {
        until(what, async || {
            if holds().await {
                return Ok(());
            }
            assert!(
                !self.has_ended(),
                "{} ended before {what}:\n{}",
                self.name,
                self.tail()
            );
            Err(format!("{} logged\n{}", self.name, self.tail()))
        })
        .await;
    }

    /// The CPU time that it has used (`utime` and `stime` of proc(5)), all its threads together.
    pub fn cpu(&self) -> Duration {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id())).unwrap();
        // A program's name may hold spaces; it ends with the last parenthesis.
        let fields = stat.rsplit(')').next().unwrap().split_whitespace();
        let ticks: u64 = fields
            .skip(11)
            .take(2)
            .map(|ticks| ticks.parse::<u64>().unwrap())
            .sum();
        Duration::from_millis(ticks * MILLISECONDS_A_TICK)
    }

    /// The memory that it has in RAM (`VmRSS` of proc(5)), in MiB.
    pub fn resident_mebibytes(&self) -> u64 {
        self.mebibytes("VmRSS:")
    }

    /// The most that it ever had (`VmHWM`).
    pub fn peak_mebibytes(&self) -> u64 {
        self.mebibytes("VmHWM:")
    }

    fn mebibytes(&self, line: &str) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let amount = status.lines().find_map(|text| text.strip_prefix(line));
        let kilobytes = amount.and_then(|amount| amount.trim().strip_suffix(" kB"));
        kilobytes.unwrap().parse::<u64>().unwrap() / 1024
    }

    /// Whether it has ended, by itself or because it was told to.
    pub fn has_ended(&mut self) -> bool {
        self.child.try_wait().unwrap().is_some()
    }

    /// Tells it to end, and ends it after five seconds if it has not.
    pub fn stop(&mut self) {
        if self.has_ended() {
            return;
        }
        self.signal(Signal::CONT);
        self.signal(Signal::TERM);
        let began = Instant::now();
        while began.elapsed() < Duration::from_secs(5) {
            if self.has_ended() {
                return;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        self.kill();
    }

    /// Has it stand still: its connections stay, and nothing is answered.
    pub fn freeze(&mut self) {
        self.signal(Signal::STOP);
    }

    /// Has it go on, if it stands still.
    pub fn go_on(&mut self) {
        self.signal(Signal::CONT);
    }

    /// Ends it at once, as a crash would.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    fn signal(&mut self, signal: Signal) {
        // The number of a process that has ended may be another's.
        if self.has_ended() {
            return;
        }
        if let Some(pid) = rustix::process::Pid::from_raw(self.child.id().cast_signed()) {
            let _ = rustix::process::kill_process(pid, signal);
        }
    }

    fn tail(&self) -> String {
        let log = self.log();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(20)..].join("\n")
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.stop();
    }
}
