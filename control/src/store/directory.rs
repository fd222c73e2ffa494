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

mod lost;
mod salvaged;

use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde_json::Value;

use super::history::{self, Entry, KEPT, Noted, Remembered};
use super::{Decide, Extent, Manner, Note, Snapshot, Store, Updated, Urgency, Write, WriteError};
use crate::files::bounded::MAX_INPUT_BYTES;
use crate::files::folder::{Folder, Links, Replaced};
use crate::files::{self, FileError, bounded};
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

/// How often a write is decided anew because others, who waited for nobody, wrote meanwhile.
/// Chosen: an abort and its repairs.
const MAX_DECISIONS: usize = 5;

/// What the weights' file holds.
#[derive(Clone, Debug, Default)]
struct Weights {
    /// Its bytes; `None` where there is no file.
    bytes: Option<Vec<u8>>,
    /// What they say; `None` where they say nothing.
    patch: Option<Plugin>,
}

impl Weights {
    fn managed(&self) -> WeightSet {
        let patch = self.patch.as_ref();
        patch.map_or_else(WeightSet::default, |patch| {
            WeightSet::of_config(&patch.config)
        })
    }
}

/// What a write is decided on.
#[derive(Debug)]
struct Held {
    snapshot: Snapshot,
    /// The configuration in the weights' file as it stands; null where there is none.
    patch: Value,
    /// What the weights' file must still hold when it is replaced; `None` where that could not be
    /// read.
    expected: Option<Option<Vec<u8>>>,
    /// Why the weights' file could not be used, and what was taken instead.
    salvaged: Option<Note>,
}

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
        if path.is_file() {
            bail!(
                "{}: a file; accepted: the directory that has {PLUGIN}",
                path.display()
            );
        }
        if !path.join(PLUGIN).is_file() {
            bail!(
                "{}: no {PLUGIN} there; accepted: a directory with the plugin as it is applied \
                 (`sluice dev DIR --demo` writes one)",
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
        let bytes = self.bytes(PLUGIN)?;
        let documents = self.documents(PLUGIN, bytes.with_context(|| format!("{path}: gone"))?)?;
        files::only_plugin(&path, documents)
    }

    /// What a file holds; `None` where there is none. Reading may follow a link: a ConfigMap is
    /// mounted as links.
    fn bytes(&self, name: &str) -> Result<Option<Vec<u8>>, FileError> {
        self.folder()?.read(name, Links::Follow, MAX_INPUT_BYTES)
    }

    fn documents(&self, name: &str, bytes: Vec<u8>) -> Result<Vec<Input>, FileError> {
        let path = self.path.join(name).display().to_string();
        let text = bounded::text(&path, bytes)?;
        Ok(parse(&path, &text)?)
    }

    fn weights(&self) -> anyhow::Result<Weights> {
        let bytes = self.bytes(WEIGHTS)?;
        let documents = self.documents(WEIGHTS, bytes.clone().unwrap_or_default())?;
        let mut plugins = plugin::plugins(documents)?;
        if plugins.len() > 1 {
            bail!(
                "{}: {} plugins; accepted: one",
                self.path.join(WEIGHTS).display(),
                plugins.len()
            );
        }
        let patch = plugins.pop();
        Ok(Weights { bytes, patch })
    }

    /// The last changes of the history, oldest first: as many as are kept.
    fn entries(&self) -> anyhow::Result<Vec<Entry>> {
        let text = self
            .folder()?
            .text(HISTORY, Links::Refuse, MAX_INPUT_BYTES)?;
        let text = text.unwrap_or_default();
        // A line that was cut short, by a full disk or by hand, must not cost the others. Who made
        // the file longer than we do has what is beyond our length neither read nor shown.
        let lines = text.lines().rev().take(KEPT * 2);
        let entries = lines.filter_map(|line| serde_json::from_str(line).ok());
        let mut entries: Vec<Entry> = entries.take(KEPT).collect();
        entries.reverse();
        Ok(entries)
    }

    async fn lock(&self, urgency: Urgency) -> anyhow::Result<Option<File>> {
        let patience = match urgency {
            Urgency::Now => ABORT_WAITS,
            Urgency::InTurn => WRITE_WAITS,
        };
        match self.locked(patience).await {
            // An abort waits for no writer in the end, so neither for a lock that cannot be had.
            Err(_) if urgency == Urgency::Now => Ok(None),
            locked => locked.map(Some),
        }
    }

    async fn locked(&self, patience: Duration) -> anyhow::Result<File> {
        let lock = self.made_runtime()?.lock_file(LOCK)?;
        let path = || {
            let path = self.path.join(RUNTIME).join(LOCK);
            path.display().to_string()
        };
        let began = Instant::now();
        loop {
            match lock.try_lock() {
                Ok(()) => return Ok(lock),
                Err(TryLockError::WouldBlock) if began.elapsed() < patience => {
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
                Err(TryLockError::WouldBlock) => bail!(WriteError::Locked {
                    lock: path(),
                    seconds: patience.as_secs(),
                }),
                Err(TryLockError::Error(error)) => {
                    return Err(error).with_context(|| format!("{}: cannot be locked", path()));
                }
            }
        }
    }

    /// Writes, if the weights' file is still what was decided on. An abort keeps aside what it
    /// cannot keep in it.
    fn write(
        &self,
        held: &Held,
        write: &Write,
        manner: Manner,
    ) -> anyhow::Result<(Replaced, Vec<Note>)> {
        let config = match manner.extent {
            Extent::Splits => write.managed.written_over(&held.patch, &write.splits),
            Extent::Whole => write.managed.to_config(),
        };
        let folder = self.folder()?;
        let mut notes: Vec<Note> = held.salvaged.iter().cloned().collect();
        if manner.urgency == Urgency::Now {
            folder.is_replaceable(WEIGHTS)?;
            notes.extend(self.kept_aside(&folder, held, &config, write));
        }
        let snapshot = &held.snapshot;
        let patch = snapshot.plugin.patch(ObjectMeta::default(), Some(config))?;
        let text = yaml_serde::to_string(&patch)?;
        let replaced = match &held.expected {
            Some(expected) => folder.replace_if(WEIGHTS, expected.as_deref(), text.as_bytes())?,
            None => {
                folder.replace(WEIGHTS, text.as_bytes())?;
                Replaced::Yes
            }
        };
        if replaced == Replaced::No {
            return Ok((replaced, Vec::new()));
        }
        // The weights are in force by now: what is left to say is that the history lacks them. One
        // that cannot be read is not replaced; a line that cannot be read costs only itself.
        let remembered = self.remember(&folder, snapshot, write);
        notes.extend(remembered.err().map(|error| Note::NotRemembered {
            why: format!("{error:#}"),
            is_forbidden: false,
        }));
        Ok((replaced, notes))
    }

    /// The weights' file as it is, kept beside it where something of it is about to be lost.
    fn kept_aside(
        &self,
        folder: &Folder,
        held: &Held,
        config: &Value,
        write: &Write,
    ) -> Option<Note> {
        let what = match &held.salvaged {
            Some(_) => WEIGHTS.to_owned(),
            None => lost::lost(&held.patch, config, &write.splits)?,
        };
        let kept = folder.keep_aside(WEIGHTS, &format!("{WEIGHTS}.unreadable"));
        Some(match kept {
            Ok(name) => Note::KeptAside {
                what,
                kept: self.path.join(name).display().to_string(),
            },
            Err(error) => Note::NotKept {
                what,
                why: format!("{:#}", anyhow::Error::from(error)),
            },
        })
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

    /// What is there, and what of it the weights' file holds.
    fn read(&self) -> anyhow::Result<Held> {
        let mut plugin = self.plugin()?;
        let weights = self.weights()?;
        if let Some(patch) = &weights.patch {
            is_of(patch, &plugin)?;
            merge(&mut plugin.config, patch.config.clone());
        }
        Ok(self.held(plugin, weights))
    }

    fn held(&self, plugin: Plugin, weights: Weights) -> Held {
        Held {
            snapshot: Snapshot {
                live: None,
                plugin,
                managed: weights.managed(),
                noted: self.noted(),
                authors: Vec::new(),
            },
            patch: weights.patch.map(|patch| patch.config).unwrap_or_default(),
            expected: Some(weights.bytes),
            salvaged: None,
        }
    }

    /// What the history says of each change; a history that cannot be read stops nobody.
    fn noted(&self) -> Vec<Noted> {
        let entries = self.entries().unwrap_or_default();
        entries.iter().map(Noted::of).collect()
    }
}

/// That a patch is one of the plugin.
fn is_of(patch: &Plugin, plugin: &Plugin) -> anyhow::Result<()> {
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
    Ok(())
}

impl Store for Directory {
    async fn snapshot(&self) -> anyhow::Result<Snapshot> {
        Ok(self.read()?.snapshot)
    }

    async fn history(&self) -> anyhow::Result<Remembered> {
        let mut entries = self.entries()?;
        // Weights that cannot be read are said by every other command.
        if let Ok(weights) = self.weights() {
            history::catch_up(&mut entries, &weights.managed(), "unknown");
        }
        Ok(Remembered {
            entries,
            notes: Vec::new(),
        })
    }

    async fn update(&self, manner: Manner, decide: &mut Decide<'_>) -> anyhow::Result<Updated> {
        let is_at_once = manner.urgency == Urgency::Now;
        if !is_at_once {
            // What is decided on is what was there when the command began, and not what another
            // writer leaves while this one waits.
            let before = self.read()?.snapshot;
            if decide(&before)?.is_none() {
                return Ok(nothing_written(before));
            }
        }
        let _lock = self.lock(manner.urgency).await?;
        let read_back = || self.read().map_err(|error| format!("{error:#}"));
        for decision in 1..=MAX_DECISIONS {
            let mut held = match self.read() {
                Err(_) if is_at_once => self.salvage(),
                read => read?,
            };
            if is_at_once && decision == MAX_DECISIONS {
                held.expected = None;
            }
            let written = decide(&held.snapshot)?;
            let Some(write) = &written else {
                let after = is_at_once.then(|| Ok(read_back()?.snapshot.plugin));
                let nothing = nothing_written(held.snapshot);
                return Ok(Updated { after, ..nothing });
            };
            // An abort waits for no lock, so it may come between. What it wrote is decided on anew.
            if let (Replaced::Yes, notes) = self.write(&held, write, manner)? {
                return Ok(Updated {
                    before: held.snapshot,
                    written,
                    after: is_at_once.then(|| Ok(read_back()?.snapshot.plugin)),
                    notes,
                });
            }
        }
        Err(WriteError::Outrun {
            file: self.path.join(WEIGHTS).display().to_string(),
            times: MAX_DECISIONS,
        }
        .into())
    }
}

fn nothing_written(before: Snapshot) -> Updated {
    Updated {
        before,
        written: None,
        after: None,
        notes: Vec::new(),
    }
}
