//! What a Rollout's host keeps in a directory, beside the weights: `rollouts/NAME.json` with its
//! status, and `rollouts/NAME.commands.json` with what people asked for. The first is written by the
//! one process that runs the Rollout, the second by whoever types a command.

use std::fs::{File, TryLockError};

use anyhow::{Context as _, bail};
use serde::{Deserialize, Serialize};

use super::peers::Summary;
use super::status::Status;
use super::world::{Command, Verb};
use crate::files::folder::{Folder, Links, Replaced};
use crate::store::directory::Directory;

/// The folder beside the weights.
const FOLDER: &str = "rollouts";

/// The longest such file that is read. Chosen: four times what a status may have.
const MAX_KEPT_BYTES: usize = 256 * 1024;

/// The most commands that are kept; the oldest go first. Chosen: one is obeyed within a second.
pub const MAX_COMMANDS: usize = 16;

/// The most Rollouts of a directory that others are compared with.
const MAX_KEPT_ROLLOUTS: usize = 1_000;

/// How often a command is written anew because another was first.
const MAX_ASKED: usize = 5;

/// A Rollout as it is kept.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Kept {
    /// What others need to know of it.
    pub rollout: Summary,
    /// How far it is.
    pub status: Status,
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
    pub fn hold(&self, name: &str) -> anyhow::Result<File> {
        let lock_name = format!("rollout-{name}.lock");
        let lock = self.directory.made_runtime()?.lock_file(&lock_name)?;
        match lock.try_lock() {
            Ok(()) => Ok(lock),
            Err(TryLockError::WouldBlock) => bail!(
                "Rollout {name} of {} is run by another process",
                self.directory.title()
            ),
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
        self.read(&file_name(name))
    }

    /// Every Rollout of the directory, but for those that cannot be read.
    ///
    /// # Errors
    /// When the directory cannot be read.
    pub fn all(&self) -> anyhow::Result<Vec<Kept>> {
        let Some(folder) = self.folder()? else {
            return Ok(Vec::new());
        };
        let path = folder.path();
        let entries = std::fs::read_dir(path).with_context(|| path.display().to_string())?;
        let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
        let mut names: Vec<String> = names
            .filter(|name| name.ends_with(".json") && !name.ends_with(".commands.json"))
            .take(MAX_KEPT_ROLLOUTS)
            .collect();
        names.sort();
        let kept = names.iter().filter_map(|name| self.read(name).ok()?);
        Ok(kept.collect())
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
            let last = commands.last().map_or(0, |command| command.number);
            let number = last.max(handled) + 1;
            commands.push(Command {
                number,
                verb,
                by: by.to_owned(),
                reason: reason.map(str::to_owned),
            });
            let surplus = commands.len().saturating_sub(MAX_COMMANDS);
            commands.drain(..surplus);
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
            .with_context(|| {
                let path = folder.path().join(file);
                format!(
                    "{}: not what `sluice rollout` keeps; with the file gone, the run begins anew",
                    path.display()
                )
            })
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

fn commands_name(name: &str) -> String {
    format!("{name}.commands.json")
}
