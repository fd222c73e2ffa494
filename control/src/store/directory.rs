//! A directory as a store: `plugin.yaml` as applied, `weights.yaml` exactly the server-side-apply
//! patch, and `history.jsonl`.
//!
//! Reading follows a link of plugin.yaml or weights.yaml, writing never does ([`Folder`]).
//! One writer at a time by a lock on `.sluice/lock`; each file is replaced by a rename, so a reader
//! sees the old one or the new one. Weights are written before the history: if the process dies
//! between them, the next write notices.
//!
//! Files are read and written in place, not on a thread for blocking work: they are a few
//! kilobytes, and handing them over would cost more than they take. Only the wait for the lock may
//! be long, and it sleeps without blocking.

use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde_json::Value;

use super::history::{self, Entry, Noted, Remembered};
use super::{Decide, Extent, Manner, Note, Snapshot, Store, Updated, Urgency, Write, WriteError};
use crate::files::bounded::MAX_INPUT_BYTES;
use crate::files::folder::{Folder, Links};
use crate::files::{self, FileError};
use crate::model::input::{Input, parse};
use crate::model::plugin::{self, Plugin, merge};
use crate::model::weights::WeightSet;

const PLUGIN: &str = "plugin.yaml";
const WEIGHTS: &str = "weights.yaml";
const HISTORY: &str = "history.jsonl";
const LOCK: &str = "lock";
const RUNTIME: &str = ".sluice";

/// How long an abort waits for a writer before it writes anyway. Chosen: a write takes
/// milliseconds.
const ABORT_WAITS: Duration = Duration::from_millis(500);

/// How long any other write waits before it gives up. Chosen: longer than any healthy writer,
/// shorter than patience.
const WRITE_WAITS: Duration = Duration::from_secs(10);

/// A directory with a plugin's configuration.
#[derive(Clone, Debug)]
pub struct Directory {
    path: PathBuf,
}

impl Directory {
    /// The directory at `path`.
    ///
    /// # Errors
    /// When it has no plugin.yaml.
    pub fn open(path: &Path) -> anyhow::Result<Self> {
        if !path.join(PLUGIN).is_file() {
            bail!(
                "{}: no {PLUGIN} there; accepted: a directory with the plugin as it is applied (`sluice dev DIR --demo` writes one)",
                path.display()
            );
        }
        Ok(Self {
            path: path.to_owned(),
        })
    }

    /// How people call it: `directory ./shop`.
    pub fn title(&self) -> String {
        format!("directory {}", self.path.display())
    }

    /// The directory's path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The files that a change of the configuration changes.
    pub fn watched(&self) -> [PathBuf; 2] {
        [self.path.join(PLUGIN), self.path.join(WEIGHTS)]
    }

    /// Where this directory's own runtime files are, once there are any.
    ///
    /// # Errors
    /// When something else is there, such as a link.
    pub fn runtime(&self) -> Result<Option<Folder>, FileError> {
        self.folder()?.inner(RUNTIME)
    }

    /// Where this directory's own runtime files go; made when missing.
    ///
    /// # Errors
    /// When it cannot be made, or something else is there.
    pub fn made_runtime(&self) -> Result<Folder, FileError> {
        self.folder()?.made(RUNTIME)
    }

    fn folder(&self) -> Result<Folder, FileError> {
        Folder::open(&self.path)
    }

    fn plugin(&self) -> anyhow::Result<Plugin> {
        let path = self.path.join(PLUGIN).display().to_string();
        let documents = self.documents(PLUGIN)?;
        files::only_plugin(&path, documents.with_context(|| format!("{path}: gone"))?)
    }

    /// The documents of a file; `None` where there is none. Reading may follow a link: a ConfigMap
    /// is mounted as links.
    fn documents(&self, name: &str) -> Result<Option<Vec<Input>>, FileError> {
        let text = self.folder()?.text(name, Links::Follow, MAX_INPUT_BYTES)?;
        let path = self.path.join(name).display().to_string();
        Ok(text.map(|text| parse(&path, &text)).transpose()?)
    }

    fn managed(&self) -> anyhow::Result<(WeightSet, Option<Plugin>)> {
        let documents = self.documents(WEIGHTS)?.unwrap_or_default();
        let mut plugins = plugin::plugins(documents)?;
        match plugins.len() {
            0 => Ok((WeightSet::default(), None)),
            1 => {
                let patch = plugins.remove(0);
                Ok((WeightSet::of_config(&patch.config), Some(patch)))
            }
            number => bail!(
                "{}: {number} plugins; accepted: one",
                self.path.join(WEIGHTS).display()
            ),
        }
    }

    fn entries(&self) -> anyhow::Result<Vec<Entry>> {
        let text = self
            .folder()?
            .text(HISTORY, Links::Refuse, MAX_INPUT_BYTES)?;
        let text = text.unwrap_or_default();
        // A line that was cut short, by a full disk or by hand, must not cost the others.
        Ok(text
            .lines()
            .filter_map(|line| serde_json::from_str(line).ok())
            .collect())
    }

    async fn lock(&self, urgency: Urgency) -> anyhow::Result<Option<File>> {
        let path = self.path.join(RUNTIME).join(LOCK);
        let opened = self
            .made_runtime()
            .and_then(|folder| folder.lock_file(LOCK));
        let lock = match opened {
            Ok(lock) => lock,
            // An abort waits for no writer in the end, so neither for a lock that cannot be had.
            Err(_) if urgency == Urgency::Now => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let patience = if urgency == Urgency::Now {
            ABORT_WAITS
        } else {
            WRITE_WAITS
        };
        let began = Instant::now();
        loop {
            match lock.try_lock() {
                Ok(()) => return Ok(Some(lock)),
                Err(TryLockError::Error(_)) if urgency == Urgency::Now => return Ok(None),
                Err(TryLockError::Error(error)) => {
                    return Err(error)
                        .with_context(|| format!("{}: cannot be locked", path.display()));
                }
                Err(TryLockError::WouldBlock) if began.elapsed() < patience => {
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
                Err(TryLockError::WouldBlock) if urgency == Urgency::Now => return Ok(None),
                Err(TryLockError::WouldBlock) => {
                    return Err(WriteError::Locked {
                        lock: path.display().to_string(),
                        seconds: patience.as_secs(),
                    }
                    .into());
                }
            }
        }
    }

    /// Writes over `patch`, what the weights' file held.
    fn write(
        &self,
        snapshot: &Snapshot,
        patch: &Value,
        write: &Write,
        extent: Extent,
    ) -> anyhow::Result<Vec<Note>> {
        let config = match extent {
            Extent::Splits => write.managed.written_over(patch, &write.splits),
            Extent::Whole => write.managed.to_config(),
        };
        let patch = snapshot.plugin.patch(ObjectMeta::default(), Some(config))?;
        let folder = self.folder()?;
        folder.replace(WEIGHTS, yaml_serde::to_string(&patch)?.as_bytes())?;
        // The weights are in force by now: what is left to say is that the history lacks them. One
        // that cannot be read is not replaced; a line that cannot be read costs only itself.
        let remembered = self.remember(&folder, snapshot, write);
        let not_remembered = remembered.err().map(|error| Note::NotRemembered {
            why: format!("{error:#}"),
            is_forbidden: false,
        });
        Ok(not_remembered.into_iter().collect())
    }

    fn remember(&self, folder: &Folder, snapshot: &Snapshot, write: &Write) -> anyhow::Result<()> {
        let mut entries = self.entries()?;
        history::append(&mut entries, &snapshot.managed, write);
        let lines = entries
            .iter()
            .map(serde_json::to_string)
            .collect::<Result<Vec<_>, _>>()?;
        Ok(folder.replace(HISTORY, (lines.join("\n") + "\n").as_bytes())?)
    }

    /// What an abort replaces without being able to read it is kept beside it, as it is.
    fn set_aside_unreadable_weights(&self) -> Result<Option<Note>, FileError> {
        if self.managed().is_ok() {
            return Ok(None);
        }
        let folder = self.folder()?;
        folder.is_replaceable(WEIGHTS)?;
        let kept = folder.keep(WEIGHTS, &format!("{WEIGHTS}.unreadable"));
        Ok(kept.err().map(|error| Note::NotKept {
            why: format!("{:#}", anyhow::Error::from(error)),
        }))
    }

    /// What is there, and what of it the weights' file holds, as it stands.
    fn read(&self) -> anyhow::Result<(Snapshot, Value)> {
        let mut plugin = self.plugin()?;
        let (managed, patch) = self.managed()?;
        if let Some(patch) = &patch {
            if patch.kind != plugin.kind || patch.name != plugin.name {
                bail!(
                    "{}: a patch for {} {}; accepted: one for {} {}, as {PLUGIN} has it",
                    patch.source,
                    patch.kind.name(),
                    patch.name.as_deref().unwrap_or("without a name"),
                    plugin.kind.name(),
                    plugin.name.as_deref().unwrap_or("without a name"),
                );
            }
            merge(&mut plugin.config, patch.config.clone());
        }
        let snapshot = Snapshot {
            plugin,
            managed,
            noted: self.noted(),
            authors: Vec::new(),
        };
        Ok((snapshot, config_of(patch)))
    }

    /// As [`Directory::read`], but whatever cannot be read is empty: an abort must work then too.
    fn salvage(&self) -> (Snapshot, Value) {
        let nothing = || plugin::Plugin {
            source: PLUGIN.to_owned(),
            kind: plugin::Kind::Bare,
            name: None,
            namespace: None,
            config: serde_json::json!({}),
        };
        let (managed, patch) = self.managed().unwrap_or_default();
        let plugin = self.plugin().ok().or_else(|| patch.clone());
        let mut plugin = plugin.unwrap_or_else(nothing);
        merge(&mut plugin.config, managed.to_config());
        let snapshot = Snapshot {
            plugin,
            managed,
            noted: self.noted(),
            authors: Vec::new(),
        };
        (snapshot, config_of(patch))
    }

    /// What the history says of each change; a history that cannot be read stops nobody.
    fn noted(&self) -> Vec<Noted> {
        let entries = self.entries().unwrap_or_default();
        entries.iter().map(Noted::of).collect()
    }
}

/// The configuration that a patch holds; null where there is no patch.
fn config_of(patch: Option<Plugin>) -> Value {
    patch.map(|patch| patch.config).unwrap_or_default()
}

impl Store for Directory {
    async fn snapshot(&self) -> anyhow::Result<Snapshot> {
        Ok(self.read()?.0)
    }

    async fn history(&self) -> anyhow::Result<Remembered> {
        let mut entries = self.entries()?;
        // Weights that cannot be read are said by every other command.
        if let Ok((managed, _)) = self.managed() {
            history::catch_up(&mut entries, &managed, "unknown");
        }
        Ok(Remembered {
            entries,
            notes: Vec::new(),
        })
    }

    async fn update(&self, manner: Manner, decide: &mut Decide<'_>) -> anyhow::Result<Updated> {
        if manner.urgency == Urgency::InTurn {
            // What is decided on is what was there when the command began, and not what another
            // writer leaves while this one waits.
            let (before, _) = self.read()?;
            if decide(&before)?.is_none() {
                return Ok(Updated {
                    before,
                    written: None,
                    after: None,
                    notes: Vec::new(),
                });
            }
        }
        let _lock = self.lock(manner.urgency).await?;
        let mut notes = Vec::new();
        let (before, patch) = match (self.read(), manner.urgency) {
            (Ok(read), _) => read,
            (Err(_), Urgency::Now) => {
                notes.extend(self.set_aside_unreadable_weights()?);
                self.salvage()
            }
            (Err(error), Urgency::InTurn) => return Err(error),
        };
        let written = decide(&before)?;
        if let Some(write) = &written {
            notes.extend(self.write(&before, &patch, write, manner.extent)?);
        }
        let read_back = || self.read().map_err(|error| format!("{error:#}"));
        let is_at_once = manner.urgency == Urgency::Now;
        Ok(Updated {
            before,
            written,
            after: is_at_once.then(|| Ok(read_back()?.0.plugin)),
            notes,
        })
    }
}
