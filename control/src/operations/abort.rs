//! Explicit zeros for every audience and challenger, now, whatever else runs and whatever else is
//! wrong.

use futures::StreamExt as _;
use serde::Serialize;
use sluice_core::plan::Node;

use super::plugins::TitledStore;
use super::{Caller, OperationError};
use crate::model::change::{self, WeightChange, differences};
use crate::model::weights::WeightSet;
use crate::store::{Manner, Note, Snapshot, Store, Write};

/// How many plugins are aborted at once. Chosen: the requests of one are a handful, and API servers
/// queue more.
const AT_ONCE: usize = 32;

/// Which weights become zero, and why.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Abort {
    /// Those of this split; without it, all.
    pub split: Option<String>,
    /// Why, for the history.
    pub reason: Option<String>,
}

/// What an abort changed.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct AbortOutcome {
    /// Every weight in force that was not zero; empty where only explicit zeros were written.
    pub changes: Vec<WeightChange>,
    /// What went wrong beside it.
    pub notes: Vec<Note>,
}

/// What became of the abort of one of several plugins.
#[derive(Debug)]
pub struct PluginAbort {
    /// The plugin; `None` where its store has no title.
    pub plugin: Option<String>,
    /// What was changed, or why nothing was.
    pub result: Result<AbortOutcome, OperationError>,
}

/// Aborts in one store.
///
/// # Errors
/// A split that is not there, and a store that cannot be written.
pub async fn abort(
    store: &impl Store,
    caller: &Caller,
    abort: &Abort,
) -> Result<AbortOutcome, OperationError> {
    let mut decide = |snapshot: &Snapshot| Ok(Some(decided(snapshot, caller, abort)?));
    let updated = store.update(Manner::NOW, &mut decide).await?;
    let after = updated
        .written
        .map(|write| write.managed)
        .unwrap_or_default();
    let before = WeightSet::of_config(&updated.before.plugin.config);
    Ok(AbortOutcome {
        changes: differences(&before, &after),
        notes: updated.notes,
    })
}

/// Aborts in all stores at once, and answers by title; one that fails stops no other.
pub async fn abort_everywhere(
    stores: Vec<TitledStore>,
    caller: &Caller,
    abort: &Abort,
) -> Vec<PluginAbort> {
    let aborts: Vec<_> = stores
        .into_iter()
        .map(|TitledStore { title, store }| async move {
            PluginAbort {
                plugin: title,
                result: self::abort(&store, caller, abort).await,
            }
        })
        .collect();
    let aborts = futures::stream::iter(aborts).buffer_unordered(AT_ONCE);
    let mut all: Vec<PluginAbort> = aborts.collect().await;
    all.sort_by(|one, other| one.plugin.cmp(&other.plugin));
    all
}

fn decided(snapshot: &Snapshot, caller: &Caller, abort: &Abort) -> anyhow::Result<Write> {
    let split = abort.split.as_deref();
    let plan = snapshot.plugin.plan(&Node::default()).ok();
    let managed = change::abort(&snapshot.state(), plan.as_ref(), split)?;
    let splits = managed
        .iter()
        .map(|(key, _)| key.split.clone())
        .filter(|name| split.is_none_or(|split| split == name))
        .collect();
    Ok(Write {
        managed,
        splits,
        at: caller.now(),
        by: caller.name.clone(),
        command: format!("abort {}", split.unwrap_or("--all")),
        reason: abort.reason.clone(),
    })
}
