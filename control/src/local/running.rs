//! What a running `sluice dev` leaves in its directory, so that `sluice status` can ask its Envoy.
//!
//! The directory may be somebody else's, and so may be what is left in it: nothing is asked but
//! what `sluice dev` can have chosen.

use std::net::SocketAddr;

use anyhow::{Context as _, bail};
use serde::{Deserialize, Serialize};

use crate::files::folder::{Folder, Links};

const FILE: &str = "dev.json";

/// How long the file may be: ours has some fifty bytes.
pub const MAX_RUNNING_BYTES: usize = 4 * 1024;

/// The first port that a kernel gives away by itself, as Envoy's admin interface is given one:
/// those below are for services (RFC 6335).
const FIRST_FREE_PORT: u16 = 1_024;

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
    pub fn write(&self, folder: &Folder) -> anyhow::Result<()> {
        Ok(folder.replace(FILE, serde_json::to_string(self)?.as_bytes())?)
    }

    /// The one that was left in a folder, if its process still lives.
    ///
    /// # Errors
    /// When the file cannot be read, or names what no `sluice dev` can have chosen.
    pub fn read(folder: &Folder) -> anyhow::Result<Option<Self>> {
        let Some(text) = folder.text(FILE, Links::Refuse, MAX_RUNNING_BYTES)? else {
            return Ok(None);
        };
        let path = folder.path().join(FILE).display().to_string();
        let running: Self = serde_json::from_str(&text)
            .with_context(|| format!("{path}: not what `sluice dev` leaves; remove it"))?;
        let admin = running.admin;
        if !admin.ip().is_loopback() || admin.port() < FIRST_FREE_PORT {
            bail!(
                "{path}: {admin} is no admin interface of a `sluice dev`; accepted: a loopback address with a port \
                 from {FIRST_FREE_PORT} up. Whoever wrote it was no `sluice dev`: remove it"
            );
        }
        let pid = Some(running.pid).filter(|pid| *pid > 0);
        let lives = pid
            .and_then(rustix::process::Pid::from_raw)
            .is_some_and(|pid| rustix::process::test_kill_process(pid).is_ok());
        Ok(lives.then_some(running))
    }

    /// Takes away what was left in a folder.
    pub fn remove(folder: &Folder) {
        // Who reads it checks that the process lives, so a file that stays misleads nobody.
        folder.remove(FILE);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(content: &str) -> Result<Option<SocketAddr>, String> {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join(FILE), content).unwrap();
        let read = Running::read(&Folder::open(folder.path()).unwrap());
        let prefix = format!("{}/", folder.path().display());
        read.map(|running| running.map(|running| running.admin))
            .map_err(|error| error.to_string().replace(&prefix, ""))
    }

    #[test]
    fn only_what_a_dev_can_have_chosen_is_asked() {
        let pid = std::process::id();
        let written = |admin: &str| format!(r#"{{"pid":{pid},"admin":"{admin}"}}"#);
        let refused = |admin: &str| {
            Err(format!(
                "dev.json: {admin} is no admin interface of a `sluice dev`; accepted: a loopback address with a port \
                 from 1024 up. Whoever wrote it was no `sluice dev`: remove it"
            ))
        };
        for admin in ["127.0.0.1:40000", "[::1]:40000"] {
            assert_eq!(read(&written(admin)), Ok(Some(admin.parse().unwrap())));
        }
        for admin in [
            "169.254.169.254:80",
            "10.0.0.1:40000",
            "0.0.0.0:40000",
            "127.0.0.1:80",
        ] {
            assert_eq!(read(&written(admin)), refused(admin));
        }
        let other = "dev.json: not what `sluice dev` leaves; remove it".to_owned();
        assert_eq!(read(r#"{"pid":1,"admin":"example.com:80"}"#), Err(other));
        for pid in [0, -1, i32::MAX] {
            let gone = format!(r#"{{"pid":{pid},"admin":"127.0.0.1:40000"}}"#);
            assert_eq!(read(&gone), Ok(None));
        }
        let long = written("127.0.0.1:40000") + &" ".repeat(MAX_RUNNING_BYTES);
        assert_eq!(
            read(&long),
            Err("dev.json: more than 4096 bytes; accepted: at most that".to_owned())
        );
    }
}
