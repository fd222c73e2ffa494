//! Where a plugin's configuration is kept: one trait, one subject a store.
//!
//! A store reads, lets the caller decide on what it read, and writes only that decision: what two writers decide at
//! once is decided one after the other, so nothing is lost.

pub mod directory;
pub mod history;

use crate::change::State;
use crate::document::Plugin;
use crate::weights::Owned;
use history::Entry;

/// What a store holds at one moment.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// The plugin, both halves merged.
    pub plugin: Plugin,
    /// The half that `sluice` wrote.
    pub owned: Owned,
    /// Every change that is remembered, oldest first.
    pub history: Vec<Entry>,
}

impl Snapshot {
    /// What a change is based on.
    pub fn state(&self) -> State {
        State { config: self.plugin.config.clone(), owned: self.owned.clone() }
    }
}

/// A decision to write, and what is remembered of it.
#[derive(Clone, Debug)]
pub struct Write {
    /// The new weights and draws.
    pub owned: Owned,
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

/// Where a plugin's configuration is kept.
pub trait Store {
    /// What is there now.
    ///
    /// # Errors
    /// When it cannot be read; names the file or resource.
    fn snapshot(&self) -> anyhow::Result<Snapshot>;

    /// Reads, decides, writes: `decide` sees what nobody else can change before its decision is written. `None`
    /// writes nothing. Answers what was there and what was written.
    ///
    /// # Errors
    /// What `decide` refused, and when reading or writing failed; then nothing was written.
    fn update(
        &self,
        urgency: Urgency,
        decide: &mut dyn FnMut(&Snapshot) -> anyhow::Result<Option<Write>>,
    ) -> anyhow::Result<(Snapshot, Option<Write>)>;
}
