//! `sluice set`: changes a split's weights.

use super::arguments::{DryRunArgs, ForceArgs, ReasonArgs, ScopeArgs, ShareArgs, StoreArgs};
use super::changes::{report, say, say_notes, terms};
use super::outcome::Outcome;
use super::stores::Place;
use super::{output, stores};
use crate::operations::Caller;
use crate::operations::plugins::{WithSplit, with_split};
use crate::operations::set::{PluginChange, Setting, set, set_everywhere};
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
    let stores = stores.into_iter().map(telling).collect();
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
    Ok(outcome)
}
