//! What a Rollout's host keeps in a directory, beside the weights: `rollouts/NAME.json` with its
//! status, and `rollouts/NAME.commands.json` with what people asked for. The first is written by the
//! one process that runs the Rollout, the second by whoever types a command.

use std::fs::{File, TryLockError};
use std::os::unix::fs::MetadataExt as _;
use std::time::Duration;

use anyhow::{Context as _, bail};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::commands::{self, Command, Verb};
use super::manifest::is_label;
use super::outline::{CheckLine, StepLine};
use super::peers::Summary;
use super::status::Status;
use crate::files::folder::{Folder, Links, Replaced};
use crate::store::directory::Directory;

/// The folder beside the weights.
const FOLDER: &str = "rollouts";

/// The longest such file that is read. Chosen: four times what a status may have.
pub const MAX_KEPT_BYTES: usize = 256 * 1024;

/// The most Rollouts of a directory that others are compared with.
const MAX_KEPT_ROLLOUTS: usize = 1_000;

/// How often a command is written anew because another was first.
const MAX_ASKED: usize = 5;

/// How often a process tries to be the one that runs a Rollout: whoever only asks whether one does
/// holds the lock for some microseconds.
const MAX_HOLDS: usize = 20;

/// The time between two such tries.
const BETWEEN_HOLDS: Duration = Duration::from_millis(10);

/// A Rollout as it is kept.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Kept {
    /// What others need to know of it.
    pub rollout: Summary,
    /// Its steps, for those who look at it.
    pub steps: Vec<StepLine>,
    /// Its checks as they stand.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub checks: Vec<CheckLine>,
    /// How far it is.
    pub status: Status,
}

/// Whether a process runs a Rollout.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Held {
    /// One does.
    Yes,
    /// None does.
    No,
}

/// Where the Rollouts of a directory are kept.
#[derive(Clone, Debug)]
pub struct Keeper<'d> {
    directory: &'d Directory,
}

impl<'d> Keeper<'d> {
    /// Of a directory.
    pub const fn new(directory: &'d Directory) -> Self {
        Self { directory }
    }

    /// Makes this process the one that runs a Rollout, until the file is dropped.
    ///
    /// # Errors
    /// When another process is.
    pub async fn hold(&self, name: &str) -> anyhow::Result<File> {
        let lock_name = lock_name(name);
        let lock = self.directory.made_runtime()?.lock_file(&lock_name)?;
        for _ in 0..MAX_HOLDS {
            match lock.try_lock() {
                Ok(()) => return Ok(lock),
                Err(TryLockError::WouldBlock) => tokio::time::sleep(BETWEEN_HOLDS).await,
                Err(TryLockError::Error(error)) => {
                    return Err(error).with_context(|| format!("{lock_name}: cannot be locked"));
                }
            }
        }
        Err(self.run_by_another(name))
    }

    /// Whether another process is that one by now, or was since this status was kept: whoever removes
    /// the lock's folder lets one begin. Where none has, the lock is taken anew.
    ///
    /// # Errors
    /// When that cannot be found out.
    pub fn is_lost(&self, name: &str, lock: &mut File, last: &Status) -> anyhow::Result<bool> {
        let runtime = self.directory.made_runtime()?;
        let now = runtime.lock_file(&lock_name(name))?;
        let identity = |file: &File| file.metadata().map(|data| (data.dev(), data.ino()));
        if identity(&now)? == identity(lock)? {
            return Ok(false);
        }
        match now.try_lock() {
            Ok(()) => *lock = now,
            Err(TryLockError::WouldBlock) => return Ok(true),
            Err(TryLockError::Error(error)) => return Err(error.into()),
        }
        Ok(self.kept(name)?.is_some_and(|kept| kept.status != *last))
    }

    /// What is said where another process runs a Rollout.
    pub fn run_by_another(&self, name: &str) -> anyhow::Error {
        let place = self.directory.title();
        anyhow::anyhow!("Rollout {name} of {place} is run by another process")
    }

    /// What stands in an unreadable file of a Rollout: its split, if that can be seen.
    pub fn split(&self, name: &str) -> Option<String> {
        let kept: Value = self.read(&file_name(name)).ok()??;
        Some(kept.pointer("/rollout/split")?.as_str()?.to_owned())
    }

    /// Whether a process runs a Rollout.
    ///
    /// # Errors
    /// When that cannot be found out.
    pub fn held(&self, name: &str) -> anyhow::Result<Held> {
        let Some(runtime) = self.directory.runtime()? else {
            return Ok(Held::No);
        };
        let lock_name = lock_name(name);
        let Some(lock) = runtime.opened(&lock_name, Links::Refuse)? else {
            return Ok(Held::No);
        };
        // Held for an instant, and shared among those who ask; whoever begins tries longer.
        match lock.try_lock_shared() {
            Ok(()) => Ok(Held::No),
            Err(TryLockError::WouldBlock) => Ok(Held::Yes),
            Err(TryLockError::Error(error)) => {
                Err(error).with_context(|| format!("{lock_name}: cannot be locked"))
            }
        }
    }

    /// A Rollout; `None` where none of the name was run.
    ///
    /// # Errors
    /// When it cannot be read, or is none.
    pub fn kept(&self, name: &str) -> anyhow::Result<Option<Kept>> {
        let file = file_name(name);
        let kept: Option<Kept> = self.read(&file)?;
        match kept {
            Some(kept) if kept.rollout.name != name => {
                let found = kept.rollout.name;
                Err(anyhow::anyhow!("it is of Rollout {found:?}"))
                    .with_context(|| self.not_ours(&file))
            }
            kept => Ok(kept),
        }
    }

    /// Every Rollout of the directory, but for those that cannot be read.
    ///
    /// # Errors
    /// When the directory cannot be read.
    pub fn all(&self) -> anyhow::Result<Vec<Kept>> {
        let names = self.names()?;
        let kept = names.iter().filter_map(|name| self.kept(name).ok()?);
        Ok(kept.collect())
    }

    /// The names of the directory's Rollouts, in order.
    ///
    /// # Errors
    /// When the directory cannot be read.
    pub fn names(&self) -> anyhow::Result<Vec<String>> {
        let Some(folder) = self.folder()? else {
            return Ok(Vec::new());
        };
        let path = folder.path();
        let entries = std::fs::read_dir(path).with_context(|| path.display().to_string())?;
        let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
        let names = names.filter_map(|name| Some(name.strip_suffix(".json")?.to_owned()));
        let names = names.filter(|name| is_label(name));
        let mut names: Vec<String> = names.take(MAX_KEPT_ROLLOUTS).collect();
        names.sort();
        Ok(names)
    }

    /// Keeps a Rollout; a reader sees the former or the new one.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn keep(&self, kept: &Kept) -> anyhow::Result<()> {
        let text = serde_json::to_string_pretty(kept)? + "\n";
        let name = file_name(&kept.rollout.name);
        Ok(self.made_folder()?.replace(&name, text.as_bytes())?)
    }

    /// What people asked of a Rollout, in the order of the numbers.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn commands(&self, name: &str) -> anyhow::Result<Vec<Command>> {
        let commands: Option<Vec<Command>> = self.read(&commands_name(name))?;
        Ok(commands.unwrap_or_default())
    }

    /// Adds a command, and answers its number.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn ask(
        &self,
        name: &str,
        verb: Verb,
        by: &str,
        reason: Option<&str>,
    ) -> anyhow::Result<u64> {
        let (file, folder) = (commands_name(name), self.made_folder()?);
        let handled = self
            .kept(name)?
            .map_or(0, |kept| kept.status.handled_command);
        for _ in 0..MAX_ASKED {
            let before = folder.read(&file, Links::Refuse, MAX_KEPT_BYTES)?;
            let mut commands: Vec<Command> = match &before {
                Some(bytes) => serde_json::from_slice(bytes).with_context(|| file.clone())?,
                None => Vec::new(),
            };
            let number = commands::add(&mut commands, handled, verb, by, reason);
            let text = serde_json::to_string(&commands)? + "\n";
            let replaced = folder.replace_if(&file, before.as_deref(), text.as_bytes())?;
            if replaced == Replaced::Yes {
                return Ok(number);
            }
        }
        bail!("{file}: others were first {MAX_ASKED} times; nothing was asked, try again")
    }

    fn read<T: for<'de> Deserialize<'de>>(&self, file: &str) -> anyhow::Result<Option<T>> {
        let Some(folder) = self.folder()? else {
            return Ok(None);
        };
        let bytes = folder.read(file, Links::Refuse, MAX_KEPT_BYTES)?;
        bytes
            .map(|bytes| serde_json::from_slice(&bytes))
            .transpose()
            .with_context(|| self.not_ours(file))
    }

    fn not_ours(&self, file: &str) -> String {
        let path = self.directory.path().join(FOLDER).join(file);
        format!(
            "{}: not what `sluice rollout` keeps; with the file gone, the run begins anew",
            path.display()
        )
    }

    fn folder(&self) -> anyhow::Result<Option<Folder>> {
        Ok(Folder::open(self.directory.path())?.inner(FOLDER)?)
    }

    fn made_folder(&self) -> anyhow::Result<Folder> {
        Ok(Folder::open(self.directory.path())?.made(FOLDER)?)
    }
}

fn file_name(name: &str) -> String {
    format!("{name}.json")
}

fn lock_name(name: &str) -> String {
    format!("rollout-{name}.lock")
}

fn commands_name(name: &str) -> String {
    format!("{name}.commands.json")
}
