//! Where a plugin's configuration is kept: one trait, one subject a store.
//!
//! A store reads, lets the caller decide on what it read, and writes only that decision: what two
//! writers decide at once is decided one after the other, so nothing is lost.

pub mod directory;
pub mod history;
pub mod kubernetes;

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde::Serialize;

use crate::cluster::authors::Author;
use crate::cluster::plugins::Unlisted;
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

/// Why a write was not made, or not in full, where others are the reason: its caller may try again
/// or take over.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// Another process kept the directory locked.
    #[error(
        "{lock}: another sluice has been writing for {seconds} s; nothing was changed, try again"
    )]
    Locked {
        /// The lock's path.
        lock: String,
        /// How long this write waited.
        seconds: u64,
    },
    /// Others, who waited for no lock, kept writing first.
    #[error("{file}: others have written first {times} times; nothing was changed, try again")]
    Outrun {
        /// The weights' file.
        file: String,
        /// How often.
        times: usize,
    },
    /// Others kept writing first.
    #[error("{plugin}: others have been writing for {seconds} s; nothing was changed, try again")]
    Overtaken {
        /// The plugin's kind, namespace and name.
        plugin: String,
        /// How long this write was tried.
        seconds: u64,
    },
    /// Fields that it sets belong to others.
    #[error(
        "{}; nothing was changed. --force would set it all the same ({}) and take the field \
         over: {} would then get this conflict in turn",
        owners(.plugin, .fields), .changes.join(", "),
        .fields.first().map_or("the other", |field| field.manager.as_str())
    )]
    Conflict {
        /// The plugin's kind, namespace and name.
        plugin: String,
        /// The fields with their owners.
        fields: Vec<OwnedField>,
        /// What it sets, such as `everyone/canary 5 -> 10`.
        changes: Vec<String>,
    },
    /// No answer came to it, and reading back showed that it was not made.
    #[error(
        "{plugin}: no answer to a write ({why}); it was not made: the weights were read back and \
         are as they were"
    )]
    NotMade {
        /// The plugin's kind, namespace and name.
        plugin: String,
        /// What became of the connection.
        why: String,
    },
    /// No answer came to it, and reading back did not show whether it was made.
    #[error(
        "{plugin}: no answer to a write ({why}), and it is still unknown whether it was made: \
         {unread}. See `sluice get` before anything else"
    )]
    Unknown {
        /// The plugin's kind, namespace and name.
        plugin: String,
        /// What became of the connection.
        why: String,
        /// Why reading back did not tell.
        unread: String,
    },
    /// One split's part was refused after those of others were written.
    #[error("of several splits, only these were changed: {}", .written.join(", "))]
    Partial {
        /// The splits that were written.
        written: Vec<String>,
        /// Why the other was not.
        source: anyhow::Error,
    },
}

impl WriteError {
    /// Whether a command that ends with it leaves something to find out.
    pub fn is_open(&self) -> bool {
        match self {
            Self::Unknown { .. } => true,
            Self::Partial { source, .. } => {
                source.downcast_ref::<Self>().is_some_and(Self::is_open)
            }
            _ => false,
        }
    }
}

/// A field that somebody else set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnedField {
    /// Its path in the resource, such as `spec.pluginConfig.weights.web.everyone.canary`.
    pub path: String,
    /// The field manager that owns it.
    pub manager: String,
}

fn owners(plugin: &str, fields: &[OwnedField]) -> String {
    let owner = |OwnedField { path, manager }: &OwnedField| {
        format!("{plugin}: {path} was set by field manager {manager:?}")
    };
    fields.iter().map(owner).collect::<Vec<_>>().join("\n")
}

/// What went wrong beside a write that was made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, thiserror::Error)]
#[serde(tag = "kind", rename_all = "camelCase")]
pub enum Note {
    /// The history lacks it.
    #[error(
        "the change was made, but `sluice history` will not have it: {why}{}",
        if *.is_forbidden { "; the Role in wasmplugin/base/rbac.yaml has the right" } else { "" }
    )]
    NotRemembered {
        /// The API server's words.
        why: String,
        /// Whether the account lacks the right to write it.
        #[serde(rename = "isForbidden")]
        is_forbidden: bool,
    },
    /// Others wrote what looks like a part of the history.
    #[error(
        "{}{count} ControllerRevisions claim to be of this history and are left out, such as \
         {first}: {why}",
        if *.are_more { "at least " } else { "" }
    )]
    NotOurs {
        /// How many.
        count: usize,
        /// The name of one.
        first: String,
        /// What is wrong with that one.
        why: String,
        /// Whether there are more than were looked at.
        #[serde(rename = "areMore")]
        are_more: bool,
    },
    /// The weights' file could not be read, and an abort went on without it.
    #[error("{why}; {instead}")]
    Salvaged {
        /// Why not.
        why: String,
        /// Where weights were taken from instead.
        instead: String,
    },
    /// What an abort had to replace is kept beside it.
    #[error(
        "replaced, because proxies or sluice could not read it: {what}; as it was, it is kept in \
         {kept}"
    )]
    KeptAside {
        /// What was replaced.
        what: String,
        /// Where it is now.
        kept: String,
    },
    /// What was replaced because it could not be read is gone.
    #[error("{what} could not be read and was replaced, and could not be kept beside it: {why}")]
    NotKept {
        /// What is gone.
        what: String,
        /// The system's words.
        why: String,
    },
    /// No answer came to the write.
    #[error("no answer to the write ({why}), but it was made: it was read back")]
    FoundMade {
        /// What became of the connection.
        why: String,
    },
    /// The plugin's annotation does not say who changed it last.
    #[error("the change was made, but without its note on the plugin: {why}")]
    NotNoted {
        /// The API server's words.
        why: String,
    },
    /// An abort that is not in force could not be mended.
    #[error("what is in the way could not be replaced: {why}")]
    NotRepaired {
        /// Why not.
        why: String,
    },
    /// An abort went on without plugins that could not be listed.
    #[error(
        "{what} could not all be listed, and those that are not named here are NOT ABORTED: {why}"
    )]
    NotListed {
        /// Which, such as `WasmPlugins of every namespace`.
        what: String,
        /// Why not.
        why: String,
    },
    /// The history keeps more than it should.
    #[error("old entries of the history could not be removed: {why}")]
    NotForgotten {
        /// The API server's words.
        why: String,
    },
}

impl Note {
    /// Why it is not known what was there before the write.
    pub fn unread(&self) -> Option<String> {
        match self {
            Self::Salvaged { why, .. } => Some(why.clone()),
            _ => None,
        }
    }

    /// Whether what it says leaves something to do.
    pub const fn is_problem(&self) -> bool {
        matches!(self, Self::NotListed { .. })
    }
}

impl From<Unlisted> for Note {
    fn from(Unlisted { what, error }: Unlisted) -> Self {
        let why = format!("{:#}", anyhow::Error::from(error));
        Self::NotListed { what, why }
    }
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
