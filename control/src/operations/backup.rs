//! Everything that `sluice` keeps in a cluster, as one document: the weights and draws that it wrote
//! and the history, of every plugin.
//!
//! What Git has is not in it: plugins, routes, and weights that others set. Read again by
//! [`crate::operations::restore`].

use futures::StreamExt as _;
use serde::{Deserialize, Serialize};

use super::MAX_AT_ONCE;
use super::plugins::TitledStore;
use crate::model::weights::WeightSet;
use crate::store::history::Entry;
use crate::store::{AnyStore, Store as _};

/// The version of the document: a reader takes this one and no other.
pub const API_VERSION: &str = "sluice.dev/backup.v1";

/// Its kind.
pub const KIND: &str = "Backup";

/// The document.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Backup {
    /// [`API_VERSION`].
    pub api_version: String,
    /// [`KIND`].
    pub kind: String,
    /// Each plugin, in the order in which the cluster lists them.
    pub plugins: Vec<PluginBackup>,
}

/// What is kept of one plugin.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PluginBackup {
    /// `WasmPlugin shop/sluice`.
    pub plugin: String,
    /// The weights and draws that `sluice` wrote.
    pub wrote: WeightSet,
    /// Every change that is remembered, oldest first.
    #[serde(default)]
    pub history: Vec<Entry>,
}

/// A backup, and what could not be read for it.
#[derive(Debug)]
pub struct Backed {
    /// What could be read.
    pub backup: Backup,
    /// Why the rest could not.
    pub failed: Vec<anyhow::Error>,
}

/// Reads every store that has a title.
pub async fn taken(stores: Vec<TitledStore>) -> Backed {
    let read = stores
        .into_iter()
        .filter_map(|one| Some((one.title?, one.store)))
        .map(|(title, store)| async move {
            let read = of(&title, &store).await;
            read.map_err(|error| error.context(format!("{title}: not in the backup")))
        });
    let mut read = futures::stream::iter(read).buffered(MAX_AT_ONCE);
    let (mut plugins, mut failed) = (Vec::new(), Vec::new());
    while let Some(one) = read.next().await {
        match one {
            Ok(plugin) => plugins.push(plugin),
            Err(error) => failed.push(error),
        }
    }
    let backup = Backup {
        api_version: API_VERSION.to_owned(),
        kind: KIND.to_owned(),
        plugins,
    };
    Backed { backup, failed }
}

async fn of(title: &str, store: &AnyStore) -> anyhow::Result<PluginBackup> {
    // The history first: a change that comes between is in the weights, and only its line is not.
    let history = store.history().await?.entries;
    let wrote = store.snapshot().await?.managed;
    Ok(PluginBackup {
        plugin: title.to_owned(),
        wrote,
        history,
    })
}
