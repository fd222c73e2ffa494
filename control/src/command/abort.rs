//! `sluice abort`: explicit zeros for every audience and challenger, now, whatever else runs and whatever else is wrong.

use futures::StreamExt as _;

use super::arguments::{ReasonArgs, ScopeArgs, StoreArgs};
use super::outcome::Outcome;
use super::stores;
use crate::command::output;
use crate::model::change;
use crate::model::refusal::Refusal;
use crate::model::weights::WeightSet;
use crate::operations::Caller;
use crate::store::{AnyStore, Manner, Snapshot, Store, Write};
use sluice_core::plan::Node;

/// `sluice abort`.
#[derive(clap::Args, Debug)]
#[command(group = clap::ArgGroup::new("what").required(true).args(["split", "all"]))]
pub(super) struct Abort {
    /// The split
    split: Option<String>,
    /// Every split
    #[arg(long)]
    all: bool,
    /// Which store holds the configuration.
    #[command(flatten)]
    store: StoreArgs,
    /// Whether every plugin of the cluster is meant.
    #[command(flatten)]
    scope: ScopeArgs,
    /// Why the change is made.
    #[command(flatten)]
    reason: ReasonArgs,
}

/// How many plugins are aborted at once. Chosen: the requests of one are a handful, and API servers queue more.
const AT_ONCE: usize = 32;

pub(super) async fn run(arguments: &Abort, caller: &Caller) -> anyhow::Result<Outcome> {
    let stores = stores::some(&arguments.store, arguments.scope).await?;
    if let [(None, store)] = stores.as_slice() {
        output::line(abort(store, arguments, caller).await?);
        return Ok(Outcome::Good);
    }
    let results = everywhere(stores, arguments, caller).await;
    let mut outcome = Outcome::Good;
    for (title, result) in &results {
        match result {
            Ok(report) => output::line(format!("{title}:\n{report}")),
            // Several plugins are asked; who lacks the split has nothing to abort.
            Err(error) if arguments.split.is_some() && lacks_split(error) && results.len() > 1 => {}
            Err(error) => {
                output::note(format!("{title}: NOT ABORTED: {error:#}"));
                outcome = Outcome::Problems;
            }
        }
    }
    if results
        .iter()
        .all(|(_, result)| result.as_ref().is_err_and(lacks_split))
    {
        anyhow::bail!(
            "no plugin has a split {:?}; nothing was aborted",
            arguments.split.as_deref().unwrap_or_default()
        );
    }
    Ok(outcome)
}

fn lacks_split(error: &anyhow::Error) -> bool {
    matches!(error.downcast_ref(), Some(Refusal::NoSplit { .. }))
}

type Results = Vec<(String, anyhow::Result<String>)>;

/// All at once; one that fails stops no other.
async fn everywhere(
    stores: Vec<(Option<String>, AnyStore)>,
    arguments: &Abort,
    caller: &Caller,
) -> Results {
    let aborts = stores.into_iter().map(|(title, store)| async move {
        let result = abort(&store, arguments, caller).await;
        (title.unwrap_or_default(), result)
    });
    let aborts = futures::stream::iter(aborts).buffer_unordered(AT_ONCE);
    let mut results: Results = aborts.collect().await;
    results.sort_by(|one, other| one.0.cmp(&other.0));
    results
}

async fn abort(store: &impl Store, arguments: &Abort, caller: &Caller) -> anyhow::Result<String> {
    let split = arguments.split.as_deref();
    let command = split.map_or_else(
        || "abort --all".to_owned(),
        |split| format!("abort {split}"),
    );
    let mut decide = |snapshot: &Snapshot| {
        let plan = snapshot.plugin.plan(&Node::default()).ok();
        let owned = change::abort(&snapshot.state(), plan.as_ref(), split)?;
        let splits = owned
            .iter()
            .map(|(key, _)| key.split.clone())
            .filter(|name| split.is_none_or(|split| split == name))
            .collect();
        Ok(Some(Write {
            owned,
            splits,
            at: caller.now(),
            by: caller.name.clone(),
            command: command.clone(),
            reason: arguments.reason.reason.clone(),
        }))
    };
    let updated = store.update(Manner::NOW, &mut decide).await?;
    for note in &updated.notes {
        output::note(format!("note: {note}"));
    }
    let after = updated.written.map(|write| write.owned).unwrap_or_default();
    let before = WeightSet::of_config(&updated.before.plugin.config);
    let changes = change::differences(&before, &after);
    if changes.is_empty() {
        return Ok("every weight was zero already; the zeros are now explicit".to_owned());
    }
    Ok(changes
        .iter()
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join("\n"))
}
