//! What a running `sluice dev` leaves in its directory, so that `sluice status` can ask its Envoy.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::files::replace;

/// A `sluice dev` and the admin interface of its Envoy.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Running {
    /// The process id of `sluice dev`.
    pub pid: i32,
    /// Where its Envoy's admin interface listens.
    pub admin: SocketAddr,
}

impl Running {
    /// Leaves it in a folder.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn write(&self, folder: &Path) -> anyhow::Result<()> {
        replace(&path(folder), serde_json::to_string(self)?.as_bytes())
    }

    /// The one that was left in a folder, if its process still lives.
    pub fn read(folder: &Path) -> Option<Self> {
        let text = std::fs::read_to_string(path(folder)).ok()?;
        let running: Self = serde_json::from_str(&text).ok()?;
        let pid = rustix::process::Pid::from_raw(running.pid)?;
        rustix::process::test_kill_process(pid)
            .is_ok()
            .then_some(running)
    }

    /// Takes away what was left in a folder.
    pub fn remove(folder: &Path) {
        // Who reads it checks that the process lives, so a file that stays misleads nobody.
        let _ = std::fs::remove_file(path(folder));
    }
}

fn path(folder: &Path) -> PathBuf {
    folder.join("dev.json")
}
