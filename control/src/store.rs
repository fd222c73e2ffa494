//! Where a plugin's configuration is kept: one trait, one subject a store.
//!
//! A store reads, lets the caller decide on what it read, and writes only that decision: what two
//! writers decide at once is decided one after the other, so nothing is lost.

pub mod directory;
mod error;
pub mod history;
pub mod kubernetes;
mod note;

use std::collections::BTreeSet;
use std::sync::Arc;

use jiff::Timestamp;

pub use error::{OwnedField, WriteError};
pub use note::Note;

use crate::cluster::authors::Author;
use crate::cluster::plugins::LivePlugin;
use crate::model::change::State;
use crate::model::plugin::Plugin;
use crate::model::weights::WeightSet;
use directory::Directory;
use history::{Noted, Remembered};
use kubernetes::Kubernetes;

/// What a store holds at one moment.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// The plugin, both halves merged.
    pub plugin: Plugin,
    /// The half that `sluice` wrote.
    pub managed: WeightSet,
    /// The last changes that `sluice` made, as far as they are remembered beside it, oldest first.
    pub noted: Vec<Noted>,
    /// Who set which part of it; empty where nobody keeps account.
    pub authors: Vec<Author>,
    /// The resource that it was read of, in a cluster, for who goes on with that.
    pub live: Option<Arc<LivePlugin>>,
}

impl Snapshot {
    /// What a change is based on.
    pub fn state(&self) -> State {
        State {
            config: self.plugin.config.clone(),
            managed: self.managed.clone(),
        }
    }
}

/// A decision to write, and what is remembered of it.
#[derive(Clone, Debug)]
pub struct Write {
    /// The new weights and draws.
    pub managed: WeightSet,
    /// The splits that are written, also where their weights stay: the others are left alone.
    pub splits: BTreeSet<String>,
    /// When it was decided.
    pub at: Timestamp,
    /// Who decided it, as their own machine names them; a cluster writes the name that its API
    /// server knows instead.
    pub by: String,
    /// The command that decided it, such as `set web canary=10`.
    pub command: String,
    /// Why.
    pub reason: Option<String>,
}

/// How long a write may wait for its turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Urgency {
    /// Until the writer before it is done.
    InTurn,
    /// At most a moment, whatever else runs: an abort.
    Now,
}

/// What happens to a field that somebody else set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OthersFields {
    /// The write is refused, and says whose it is.
    Respect,
    /// It becomes ours.
    TakeOver,
}

/// How much of the weights and draws a write replaces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extent {
    /// The weights of its splits; the rest stays as it stands.
    Splits,
    /// All of them, whatever stands there: what is not in the write is gone.
    Whole,
}

/// How a write is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Manner {
    /// Whether it waits.
    pub urgency: Urgency,
    /// Whether it takes over.
    pub others_fields: OthersFields,
    /// How much it replaces; only what is written at once may replace everything.
    pub extent: Extent,
}

impl Manner {
    /// An abort's: it neither waits nor respects.
    pub const NOW: Self = Self {
        urgency: Urgency::Now,
        others_fields: OthersFields::TakeOver,
        extent: Extent::Splits,
    };
    /// That of an abort which must replace what stands in its way.
    pub const REPAIR: Self = Self {
        extent: Extent::Whole,
        ..Self::NOW
    };
    /// Any other command's.
    pub const IN_TURN: Self = Self {
        urgency: Urgency::InTurn,
        others_fields: OthersFields::Respect,
        extent: Extent::Splits,
    };
}

/// What became of an update.
#[derive(Clone, Debug)]
pub struct Updated {
    /// What was there.
    pub before: Snapshot,
    /// What was written.
    pub written: Option<Write>,
    /// The plugin as it was read back after a write at once, or why it could not be read; `None`
    /// after a write that waited for its turn.
    pub after: Option<Result<Plugin, String>>,
    /// What the user should know besides.
    pub notes: Vec<Note>,
}

/// Decides on what is there; `None` writes nothing.
pub type Decide<'a> = dyn FnMut(&Snapshot) -> anyhow::Result<Option<Write>> + Send + 'a;

/// Where a plugin's configuration is kept.
///
/// What its functions return may be spawned: a controller has many of them under way at once.
pub trait Store: Send + Sync {
    /// What is there now.
    ///
    /// # Errors
    /// When it cannot be read; names the file or resource.
    fn snapshot(&self) -> impl Future<Output = anyhow::Result<Snapshot>> + Send;

    /// Which of the plugins of a place this is, as `KIND/NAME`; `None` where there is one alone.
    fn named(&self, _snapshot: &Snapshot) -> Option<String> {
        None
    }

    /// The same as a plugin of a cluster, where it is one.
    fn in_cluster(&self) -> Option<&Kubernetes> {
        None
    }

    /// Every change that is remembered, oldest first.
    ///
    /// # Errors
    /// When it cannot be read.
    fn history(&self) -> impl Future<Output = anyhow::Result<Remembered>> + Send;

    /// Reads, decides, writes: what `decide` saw is what is replaced; where another writer came
    /// between, it decides again on what that one wrote. It is asked first before any wait for a
    /// turn, so that it can compare what was there when the command began with what it replaces.
    ///
    /// # Errors
    /// What `decide` refused, and when reading or writing failed; then nothing was written.
    fn update(
        &self,
        manner: Manner,
        decide: &mut Decide<'_>,
    ) -> impl Future<Output = anyhow::Result<Updated>> + Send;
}

/// Either store, for who learns only at run time which one is meant.
#[derive(Clone, Debug)]
pub enum AnyStore {
    /// A directory.
    Directory(Directory),
    /// A plugin in a cluster.
    Kubernetes(Kubernetes),
}

impl AnyStore {
    /// How people call it: `directory ./shop`, or `context kind, WasmPlugin shop/sluice`; a plugin
    /// that was not found yet is not named.
    pub fn title(&self) -> String {
        match self {
            Self::Directory(store) => store.title(),
            Self::Kubernetes(store) => store.title(),
        }
    }
}

impl Store for AnyStore {
    async fn snapshot(&self) -> anyhow::Result<Snapshot> {
        match self {
            Self::Directory(store) => store.snapshot().await,
            Self::Kubernetes(store) => store.snapshot().await,
        }
    }

    fn named(&self, snapshot: &Snapshot) -> Option<String> {
        match self {
            Self::Directory(store) => store.named(snapshot),
            Self::Kubernetes(store) => store.named(snapshot),
        }
    }

    fn in_cluster(&self) -> Option<&Kubernetes> {
        match self {
            Self::Directory(_) => None,
            Self::Kubernetes(store) => Some(store),
        }
    }

    async fn history(&self) -> anyhow::Result<Remembered> {
        match self {
            Self::Directory(store) => store.history().await,
            Self::Kubernetes(store) => store.history().await,
        }
    }

    async fn update(&self, manner: Manner, decide: &mut Decide<'_>) -> anyhow::Result<Updated> {
        match self {
            Self::Directory(store) => store.update(manner, decide).await,
            Self::Kubernetes(store) => store.update(manner, decide).await,
        }
    }
}
