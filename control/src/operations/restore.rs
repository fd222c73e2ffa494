//! Giving every plugin of a backup the weights, draws and history that it had: first looked at as a
//! whole, then written plugin by plugin.
//!
//! What is written goes the way of every change: it waits for its turn, respects what others set,
//! and is remembered. A restore that was killed is repeated: what is so already is not written.

mod document;

use std::collections::{BTreeMap, BTreeSet};

use futures::StreamExt as _;
use sluice_core::plan::Node;

use super::backup::{Backup, PluginBackup};
use super::change::{ChangeOutcome, Mode, Subject, Terms, make};
use super::plugins::TitledStore;
use super::{Caller, MAX_AT_ONCE, OperationError};
use crate::cluster::authors::others;
use crate::model::change::{self, WeightChange};
use crate::model::refusal::find_split;
use crate::model::weights::WeightKey;
use crate::store::history::Entry;
use crate::store::{AnyStore, Note, OthersFields, Snapshot, Store as _};
pub use document::{BackupError, MAX_BACKUP_ENTRIES, MAX_BACKUP_PLUGINS, read};

/// What a restore would do to one plugin.
#[derive(Debug)]
pub struct Difference {
    /// The plugin, as the backup and the cluster call it.
    pub plugin: String,
    /// Which weights and draws it changes.
    pub change: ChangeOutcome,
    /// How many changes the history lacks that the backup has.
    pub forgotten: usize,
    store: AnyStore,
    begun: Snapshot,
    kept: PluginBackup,
    missing: Vec<Entry>,
}

impl Difference {
    /// Whether nothing differs.
    pub fn is_none(&self) -> bool {
        self.change.changes.is_empty() && self.change.redraws.is_empty() && self.forgotten == 0
    }
}

/// What a restore would do, and why it cannot do some of it.
#[derive(Debug, Default)]
pub struct Compared {
    /// Each plugin that both the backup and the cluster have.
    pub differences: Vec<Difference>,
    /// Why some of the backup cannot be restored, each with its plugin.
    pub refused: Vec<anyhow::Error>,
    /// Plugins of the cluster that the backup has not; they stay as they are.
    pub others: Vec<String>,
}

/// Compares a backup with what there is; writes nothing.
pub async fn compared(
    stores: Vec<TitledStore>,
    backup: Backup,
    caller: &Caller,
    terms: &Terms,
) -> Compared {
    let titled = stores
        .into_iter()
        .filter_map(|one| Some((one.title?, one.store)));
    let mut stores: BTreeMap<String, AnyStore> = titled.collect();
    let mut pairs = Vec::new();
    let mut all = Compared::default();
    for kept in backup.plugins {
        match stores.remove(&kept.plugin) {
            Some(store) => pairs.push((kept, store)),
            None => all.refused.push(anyhow::anyhow!(
                "{}: it is not there; `sluice apply` or `kubectl apply` it first",
                kept.plugin
            )),
        }
    }
    all.others = stores.into_keys().collect();
    let works = pairs.into_iter().map(|(kept, store)| async move {
        let plugin = kept.plugin.clone();
        let difference = difference(store, kept, caller, terms).await;
        difference.map_err(|error| error.context(plugin))
    });
    let mut works = futures::stream::iter(works).buffered(MAX_AT_ONCE);
    while let Some(one) = works.next().await {
        match one {
            Ok(difference) => all.differences.push(difference),
            Err(error) => all.refused.push(error),
        }
    }
    all
}

async fn difference(
    store: AnyStore,
    kept: PluginBackup,
    caller: &Caller,
    terms: &Terms,
) -> anyhow::Result<Difference> {
    let begun = store.snapshot().await?;
    let lacking = lacking(&begun, &kept)?;
    anyhow::ensure!(
        lacking.is_empty(),
        "no split {}, which the backup has; `sluice apply` it first",
        lacking.join(", ")
    );
    let dry = Terms {
        mode: Mode::DryRun,
        ..terms.clone()
    };
    let change = written(&store, &kept, &begun, caller, &dry).await?;
    if terms.others_fields == OthersFields::Respect {
        let owned = owned(&begun, &change.changes);
        anyhow::ensure!(
            owned.is_empty(),
            "what others set: {}; --force takes it over",
            owned.join(", ")
        );
    }
    let history = store.history().await?.entries;
    let known: BTreeSet<u64> = history.iter().map(|entry| entry.revision).collect();
    let missing: Vec<Entry> = kept
        .history
        .iter()
        .filter(|entry| !known.contains(&entry.revision))
        .cloned()
        .collect();
    Ok(Difference {
        plugin: kept.plugin.clone(),
        change,
        forgotten: missing.len(),
        store,
        begun,
        kept,
        missing,
    })
}

/// Which of these weights others set, and who.
fn owned(begun: &Snapshot, changes: &[WeightChange]) -> Vec<String> {
    let owned = changes.iter().filter_map(|change| {
        let WeightKey {
            split,
            audience,
            challenger,
        } = &change.key;
        let others = others(&begun.authors, &["weights", split, audience, challenger]);
        let who = others.join(", ");
        (!who.is_empty()).then(|| format!("{split} {audience} {challenger} ({who})"))
    });
    owned.collect()
}

/// The splits of a backup that a plugin has not.
fn lacking(begun: &Snapshot, kept: &PluginBackup) -> anyhow::Result<Vec<String>> {
    let plan = begun.plugin.plan(&Node::default())?;
    let splits = kept.wrote.splits().into_iter();
    let lacking = splits.filter(|split| find_split(&plan, split).is_err());
    Ok(lacking.map(str::to_owned).collect())
}

/// What became of one plugin.
#[derive(Debug)]
pub struct Restored {
    /// The plugin.
    pub plugin: String,
    /// What was written, or why nothing was; somebody may have changed it since it was compared.
    pub change: Result<ChangeOutcome, OperationError>,
    /// What the user should know of its history.
    pub notes: Vec<Note>,
}

/// Writes what differs. One plugin that refuses leaves the others.
pub async fn restored(
    differences: Vec<Difference>,
    caller: &Caller,
    terms: &Terms,
) -> Vec<Restored> {
    let works = differences.into_iter().map(|one| async move {
        // The history goes first: what is written next is its newest change.
        let notes = match one.store.in_cluster() {
            Some(store) if !one.missing.is_empty() => store.remember_again(&one.missing).await,
            _ => Vec::new(),
        };
        let change = written(&one.store, &one.kept, &one.begun, caller, terms).await;
        Restored {
            plugin: one.plugin,
            change,
            notes,
        }
    });
    futures::stream::iter(works)
        .buffered(MAX_AT_ONCE)
        .collect()
        .await
}

async fn written(
    store: &AnyStore,
    kept: &PluginBackup,
    begun: &Snapshot,
    caller: &Caller,
    terms: &Terms,
) -> Result<ChangeOutcome, OperationError> {
    let subject = Subject {
        split: None,
        command: "restore".to_owned(),
    };
    let begun = Some(begun.clone());
    make(store, caller, &subject, terms, begun, |snapshot, _| {
        Ok(change::restore(&snapshot.state(), &kept.wrote))
    })
    .await
}

#[cfg(test)]
mod tests;
