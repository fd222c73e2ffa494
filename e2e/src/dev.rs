//! A running `sluice dev --demo`, such as the demo, the benchmark and tests/dev.rs talk to.

use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use crate::adapter::Adapter;
use crate::mesh::{envoy_binary, sluice};

/// How long `sluice dev` may take to say something.
const PATIENCE: Duration = Duration::from_secs(60);

/// A running `sluice dev --demo` on a free port; the kernel ends it when this process dies.
#[derive(Debug)]
pub struct Dev {
    /// The process.
    pub child: Child,
    /// The first line that it said.
    pub title: String,
    /// Where its Envoy listens.
    pub address: SocketAddr,
    lines: Receiver<String>,
}

impl Dev {
    /// Starts it with an adapter on a directory and waits until it serves. The calling thread must live
    /// as long as it should.
    pub fn start(adapter: Adapter, folder: &Path) -> Self {
        Self::start_with(adapter, folder, &[])
    }

    /// The same with further arguments.
    pub fn start_with(adapter: Adapter, folder: &Path, arguments: &[&str]) -> Self {
        let demo = ["--demo"].into_iter().chain(arguments.iter().copied());
        Self::run(adapter, folder, demo.map(str::to_owned))
    }

    /// Without servers of its own: each variant, as `split/variant`, is served at an address.
    pub fn start_on(adapter: Adapter, folder: &Path, upstreams: &[(&str, SocketAddr)]) -> Self {
        let upstreams = upstreams.iter().flat_map(|(variant, address)| {
            ["--upstream".to_owned(), format!("{variant}={address}")]
        });
        Self::run(adapter, folder, upstreams)
    }

    fn run(adapter: Adapter, folder: &Path, arguments: impl Iterator<Item = String>) -> Self {
        let mut child = Command::new(sluice())
            .args(["leash", "--parent", &std::process::id().to_string(), "--"])
            .arg(sluice())
            .arg("dev")
            .arg(folder)
            .args(["--listen", "127.0.0.1:0"])
            .args(adapter.arguments())
            .args(arguments)
            .env("ENVOY", envoy_binary())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        // Read to the end, whoever listens: the pipe must not fill up.
        let (sender, lines) = channel();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        std::thread::spawn(move || {
            for line in stdout.lines().map_while(Result::ok) {
                let _ = sender.send(line);
            }
        });
        let first = lines
            .recv_timeout(PATIENCE)
            .expect("sluice dev says where it listens");
        let address = first
            .split_whitespace()
            .next()
            .unwrap()
            .trim_start_matches("http://")
            .parse()
            .unwrap();
        Self {
            child,
            title: first,
            address,
            lines,
        }
    }

    /// The next line with `part` in it; fails when none comes.
    pub fn wait_for_line(&self, part: &str) -> String {
        let began = Instant::now();
        while let Ok(line) = self
            .lines
            .recv_timeout(PATIENCE.saturating_sub(began.elapsed()))
        {
            if line.contains(part) {
                return line;
            }
        }
        panic!("sluice dev never said {part:?}");
    }

    /// Where its Envoy's admin interface listens.
    pub fn admin(&self, folder: &Path) -> SocketAddr {
        let text = std::fs::read_to_string(folder.join(".sluice/dev.json")).unwrap();
        let running: serde_json::Value = serde_json::from_str(&text).unwrap();
        running["admin"].as_str().unwrap().parse().unwrap()
    }

    /// Ctrl-C, as a terminal sends it; whether it ended well.
    pub fn interrupt(&mut self) -> bool {
        let is_sent = Command::new("kill")
            .args(["-INT", &self.child.id().to_string()])
            .status()
            .is_ok_and(|kill| kill.success());
        is_sent && self.child.wait().is_ok_and(|status| status.success())
    }
}
