//! Who changed what, when and why, in one store or in many.

use std::collections::BTreeSet;

use serde::Serialize;

use super::OperationError;
use super::plugins::TitledStore;
use crate::store::history::{Entry, Remembered};
use crate::store::{Note, Store as _};

/// One change of one plugin.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PluginEntry {
    /// Where it is, as people call it: `directory ./shop`, or `context kind, WasmPlugin shop/sluice`.
    pub store: String,
    /// The plugin; `None` where only one store is asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub plugin: Option<String>,
    /// The change.
    #[serde(flatten)]
    pub entry: Entry,
}

/// What one or many stores remember.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct History {
    /// The changes.
    pub rows: Vec<PluginEntry>,
    /// What the user should know besides.
    pub notes: Vec<Note>,
}

impl History {
    /// Leaves only so many changes, the newest of all stores; how many are left out.
    pub fn leave_newest(&mut self, limit: usize) -> usize {
        let left_out = self.rows.len().saturating_sub(limit);
        if left_out > 0 {
            let mut places: Vec<usize> = (0..self.rows.len()).collect();
            places.sort_by(|one, other| self.rows[*one].entry.at.cmp(&self.rows[*other].entry.at));
            let older: BTreeSet<usize> = places.into_iter().take(left_out).collect();
            let mut place = 0..;
            self.rows
                .retain(|_| !place.next().is_some_and(|place| older.contains(&place)));
        }
        left_out
    }
}

/// Every change that is remembered, store by store, oldest first; of one split where one is named.
///
/// # Errors
/// The first store that cannot be read.
pub async fn history(
    stores: Vec<TitledStore>,
    split: Option<&str>,
) -> Result<History, OperationError> {
    let mut all = History::default();
    for TitledStore { title, store } in stores {
        let Remembered { entries, notes } = store.history().await?;
        all.notes.extend(notes);
        all.rows
            .extend(entries.into_iter().map(|entry| PluginEntry {
                store: store.title(),
                plugin: title.clone(),
                entry,
            }));
    }
    if let Some(split) = split {
        let is_of_split = |row: &PluginEntry| {
            let mut changes = row.entry.changes.iter();
            changes.any(|change| change.key.split == split)
        };
        all.rows.retain(is_of_split);
    }
    Ok(all)
}
