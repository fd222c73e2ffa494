//! `sluice set`: changes a split's weights.

use super::arguments::{DryRunArgs, ForceArgs, ReasonArgs, ScopeArgs, ShareArgs, StoreArgs};
use super::changes::{report, say, say_notes, terms};
use super::outcome::Outcome;
use super::stores::Place;
use super::{output, stores};
use crate::operations::Caller;
use crate::operations::plugins::{WithSplit, with_split};
use crate::operations::set::{PluginChange, Setting, set, set_everywhere};
use crate::operations::unserved::{UnservedEverywhere, unserved, unserved_everywhere};
use crate::store::AnyStore;
use crate::store::kubernetes::Kubernetes;

/// `sluice set`.
#[derive(clap::Args, Debug)]
pub(super) struct Set {
    /// What to change.
    #[command(flatten)]
    change: ShareArgs,
    /// Whether it is only described.
    #[command(flatten)]
    dry_run: DryRunArgs,
    /// Which store holds the configuration.
    #[command(flatten)]
    store: StoreArgs,
    /// Whether fields that somebody else set are taken over.
    #[command(flatten)]
    force: ForceArgs,
    /// Whether every plugin of the cluster is meant.
    #[command(flatten)]
    scope: ScopeArgs,
    /// Why the change is made.
    #[command(flatten)]
    reason: ReasonArgs,
}

pub(super) async fn run(arguments: &Set, caller: &Caller) -> anyhow::Result<Outcome> {
    let ShareArgs {
        split,
        audience,
        shares,
    } = &arguments.change;
    let setting = Setting {
        split,
        audience,
        shares,
    };
    let terms = terms(arguments.dry_run, arguments.force, &arguments.reason);
    if !arguments.scope.all_namespaces {
        let store = stores::one(&arguments.store).await?;
        let made = set(&store, caller, &setting, &terms);
        say(&Place::One(store.clone()).said(made).await?);
        warn_where_nobody_moves(&store, split).await;
        return Ok(Outcome::Good);
    }
    let cluster = stores::whole_cluster(&arguments.store).await?;
    let place = Place::Everywhere(cluster.clone());
    let WithSplit { stores, unreadable } = place.said(with_split(&cluster, split)).await?;
    let mut outcome = Outcome::Good;
    for error in &unreadable {
        output::error(error);
        outcome = Outcome::Problems;
    }
    let telling = |(title, store): (String, Kubernetes)| (title, store.telling(stores::tell));
    let stores: Vec<_> = stores.into_iter().map(telling).collect();
    let all: Vec<AnyStore> = stores
        .iter()
        .map(|(_, store)| AnyStore::Kubernetes(store.clone()))
        .collect();
    for PluginChange { plugin, result } in set_everywhere(stores, caller, &setting, &terms).await {
        match result {
            Ok(made) => {
                say_notes(&made.notes);
                output::line(format!("{plugin}:\n{}", report(&made)));
            }
            Err(error) => {
                output::error(&anyhow::Error::from(error).context(plugin));
                outcome = Outcome::Problems;
            }
        }
    }
    warn_where_nobody_moves_of(&all, split).await;
    Ok(outcome)
}

/// The weights are written; that they have no effect must be read by who set them.
async fn warn_where_nobody_moves(store: &AnyStore, split: &str) {
    if let Some(unserved) = unserved(store, split).await {
        output::line(format!("warning: {unserved}"));
    }
}

/// The same of many plugins, of which each is named.
async fn warn_where_nobody_moves_of(stores: &[AnyStore], split: &str) {
    let UnservedEverywhere { unserved, unjudged } = unserved_everywhere(stores, split).await;
    for unserved in &unserved {
        output::line(format!("warning: {}: {unserved}", unserved.plugin));
    }
    if unjudged > 0 && !unserved.is_empty() {
        output::line(format!(
            "{unjudged} more plugins were not looked at for this; `sluice validate -A` looks at all"
        ));
    }
}
