//! Who changed what, when and why, in one store or in many.

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
