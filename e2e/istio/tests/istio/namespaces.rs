//! Namespaces of our own: nobody else's ports, mounts and processes, and nothing outlives them.

use std::os::unix::process::CommandExt as _;
use std::process::Command;

/// Says that this is inside.
const INSIDE: &str = "SLUICE_E2E_INSIDE";

/// Runs this program again in new namespaces, or returns when it is in them already.
pub fn enter() {
    if std::env::var_os(INSIDE).is_some() {
        let status = Command::new("ip")
            .args(["link", "set", "lo", "up"])
            .status()
            .expect("ip, of iproute2");
        assert!(
            status.success(),
            "the loopback interface cannot be brought up"
        );
        return;
    }
    let mut unshare = Command::new("unshare");
    unshare.args([
        "--mount",
        "--pid",
        "--net",
        "--fork",
        "--kill-child",
        "--mount-proc",
    ]);
    if !rustix::process::geteuid().is_root() {
        unshare.args(["--user", "--map-root-user"]);
    }
    let error = unshare
        .arg(std::env::current_exe().unwrap())
        .args(std::env::args_os().skip(1))
        .env(INSIDE, "1")
        .exec();
    panic!("unshare, of util-linux, cannot be run: {error}");
}
