//! Who changed what, when and why, in one store or in many.

use serde::Serialize;

use super::OperationError;
use super::plugins::TitledStore;
use crate::store::Store as _;
use crate::store::history::Entry;

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

/// Every change that is remembered, store by store, oldest first; of one split where one is named.
///
/// # Errors
/// The first store that cannot be read.
pub async fn history(
    stores: Vec<TitledStore>,
    split: Option<&str>,
) -> Result<Vec<PluginEntry>, OperationError> {
    let mut all = Vec::new();
    for TitledStore { title, store } in stores {
        let entries = store.history().await?.into_iter();
        all.extend(entries.map(|entry| PluginEntry {
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
        all.retain(is_of_split);
    }
    Ok(all)
}
