//! What is printed while something runs, and how commands are run.

use std::io::{IsTerminal as _, Write as _};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::Ordering;

use sluice_e2e::mesh::sluice;

use crate::world::World;

pub(super) fn run_sluice(folder: &Path, arguments: &[&str]) -> Child {
    Command::new(sluice())
        .args(arguments)
        .arg("--dir")
        .arg(folder)
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

/// Waits for a command's end; what it says is shown where it fails.
pub(super) fn end_well(command: Child) {
    let output = command.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
}

pub(super) fn progress(name: &str, share: f64, world: &World) {
    if !std::io::stdout().is_terminal() {
        return;
    }
    let bar = "█".repeat((share / 2.5).round() as usize);
    print!(
        "\r\x1b[K{name:<18} {share:>7.2} % {bar:<40} {} requests",
        world.sent.load(Ordering::Relaxed)
    );
    let _ = std::io::stdout().flush();
}

pub(super) fn done(line: &str) {
    let start = if std::io::stdout().is_terminal() {
        "\r\x1b[K"
    } else {
        ""
    };
    println!("{start}{line}");
}
