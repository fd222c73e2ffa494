//! Where a plugin's configuration is kept: one trait, one subject a store.
//!
//! A store reads, lets the caller decide on what it read, and writes only that decision: what two writers decide at
//! once is decided one after the other, so nothing is lost.

pub mod directory;
pub mod history;
pub mod kubernetes;

use std::collections::BTreeSet;

use crate::model::change::State;
use crate::model::plugin::Plugin;
use crate::model::weights::WeightSet;
use history::Entry;

/// What a store holds at one moment.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// The plugin, both halves merged.
    pub plugin: Plugin,
    /// The half that `sluice` wrote.
    pub owned: WeightSet,
}

impl Snapshot {
    /// What a change is based on.
    pub fn state(&self) -> State {
        State {
            config: self.plugin.config.clone(),
            owned: self.owned.clone(),
        }
    }
}

/// A decision to write, and what is remembered of it.
#[derive(Clone, Debug)]
pub struct Write {
    /// The new weights and draws.
    pub owned: WeightSet,
    /// The splits that are written, also where their weights stay: the others are left alone.
    pub splits: BTreeSet<String>,
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

/// How a write is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Manner {
    /// Whether it waits.
    pub urgency: Urgency,
    /// Whether it takes over.
    pub others_fields: OthersFields,
}

impl Manner {
    /// An abort's: it neither waits nor respects.
    pub const NOW: Self = Self {
        urgency: Urgency::Now,
        others_fields: OthersFields::TakeOver,
    };
    /// Any other command's.
    pub const IN_TURN: Self = Self {
        urgency: Urgency::InTurn,
        others_fields: OthersFields::Respect,
    };
}

/// What became of an update.
#[derive(Clone, Debug)]
pub struct Updated {
    /// What was there.
    pub before: Snapshot,
    /// What was written.
    pub written: Option<Write>,
    /// What the user should know besides.
    pub notes: Vec<String>,
}

/// Decides on what is there; `None` writes nothing.
pub type Decide<'a> = dyn FnMut(&Snapshot) -> anyhow::Result<Option<Write>> + 'a;

/// Where a plugin's configuration is kept.
pub trait Store {
    /// What is there now.
    ///
    /// # Errors
    /// When it cannot be read; names the file or resource.
    fn snapshot(&self) -> anyhow::Result<Snapshot>;

    /// Every change that is remembered, oldest first.
    ///
    /// # Errors
    /// When it cannot be read.
    fn history(&self) -> anyhow::Result<Vec<Entry>>;

    /// Reads, decides, writes: what `decide` saw is what is replaced; where another writer came between, it decides
    /// again on what that one wrote.
    ///
    /// # Errors
    /// What `decide` refused, and when reading or writing failed; then nothing was written.
    fn update(&self, manner: Manner, decide: &mut Decide<'_>) -> anyhow::Result<Updated>;
}
