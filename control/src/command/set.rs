//! `sluice set`: changes a split's weights, or those of every split.

use std::collections::BTreeSet;

use anyhow::anyhow;
use sluice_core::allocation::Percent;

use super::arguments::{DryRunArgs, ForceArgs, ReasonArgs, ScopeArgs, StoreArgs};
use super::changes::{report, say, say_notes, say_parked, terms};
use super::outcome::Outcome;
use super::stores::Place;
use super::{output, stores};
use crate::model::weights::Share;
use crate::operations::plugins::{WithSplit, everywhere, with_split};
use crate::operations::set::{
    PluginChange, Setting, SettingOfAll, set, set_all, set_all_everywhere, set_everywhere,
};
use crate::operations::unserved::{UnservedEverywhere, unserved, unserved_everywhere};
use crate::operations::{Caller, OperationError};
use crate::rollout::parked::{Parked, parked_of_each};
use crate::store::AnyStore;
use crate::store::kubernetes::Kubernetes;

/// `sluice set`.
#[derive(clap::Args, Debug)]
#[command(override_usage = usage("sluice"))]
pub(super) struct Set {
    /// The split
    split: String,
    /// CHALLENGER=PERCENT, such as canary=10; steps of 0.001
    #[arg(required_unless_present = "all", value_name = "CHALLENGER=PERCENT")]
    shares: Vec<Share>,
    /// Every split of the plugin that has these challengers and the audience; refused as a whole
    /// if one is refused
    #[arg(long)]
    all: bool,
    /// Whose weights
    #[arg(long, default_value = "everyone", value_name = "NAME")]
    audience: String,
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

/// Its two usages, for who types this to call us.
pub(super) fn usage(typed: &str) -> String {
    format!(
        "{typed} set [OPTIONS] <SPLIT> <CHALLENGER=PERCENT>...\n       \
         {typed} set [OPTIONS] --all <CHALLENGER=PERCENT>..."
    )
}

pub(super) async fn run(arguments: &Set, caller: &Caller) -> anyhow::Result<Outcome> {
    if arguments.all {
        return all_splits(arguments, caller).await;
    }
    let setting = Setting {
        split: &arguments.split,
        audience: &arguments.audience,
        shares: &arguments.shares,
    };
    let split = setting.split;
    let terms = terms(arguments.dry_run, arguments.force, &arguments.reason);
    if !arguments.scope.all_namespaces {
        let store = stores::one(&arguments.store).await?;
        let place = Place::One(store.clone());
        let made = place.said(set(&store, caller, &setting, &terms));
        let parked = parked_for(setting.shares, std::slice::from_ref(&store));
        let (made, parked) = tokio::join!(made, parked);
        let made = made?;
        let outcome = say(&made);
        say_parked(parked.iter().flatten(), &made.changes);
        warn_where_nobody_moves(&store, split).await;
        return Ok(outcome);
    }
    let cluster = stores::whole_cluster(&arguments.store).await?;
    let place = Place::Everywhere(cluster.clone());
    let WithSplit { stores, unreadable } = place.said(with_split(&cluster, split)).await?;
    let mut outcome = Outcome::Good;
    for error in &unreadable {
        output::error(error);
        outcome = Outcome::Problems;
    }
    let stores = telling(stores);
    let all = as_any(&stores);
    let changes = set_everywhere(stores, caller, &setting, &terms);
    let (changes, parked) = tokio::join!(changes, parked_for(setting.shares, &all));
    if say_each(beside(changes, parked)) == Outcome::Problems {
        outcome = Outcome::Problems;
    }
    warn_where_nobody_moves_of(&all, split).await;
    Ok(outcome)
}

fn telling(stores: Vec<(String, Kubernetes)>) -> Vec<(String, Kubernetes)> {
    let telling = |(title, store): (String, Kubernetes)| (title, store.telling(stores::tell));
    stores.into_iter().map(telling).collect()
}

fn as_any(stores: &[(String, Kubernetes)]) -> Vec<AnyStore> {
    let any = |(_, store): &(String, Kubernetes)| AnyStore::Kubernetes(store.clone());
    stores.iter().map(any).collect()
}

/// The Rollouts of each plugin whose Deployments have no pods, where shares may send users there.
async fn parked_for(shares: &[Share], stores: &[AnyStore]) -> Vec<Vec<Parked>> {
    match shares.iter().any(|share| share.percent > Percent::ZERO) {
        true => parked_of_each(stores).await,
        false => Vec::new(),
    }
}

/// Each change beside the Rollouts of its plugin; those of the last plugins are not known.
fn beside(
    changes: Vec<PluginChange>,
    parked: Vec<Vec<Parked>>,
) -> Vec<(PluginChange, Vec<Parked>)> {
    let parked = parked.into_iter().chain(std::iter::repeat_with(Vec::new));
    changes.into_iter().zip(parked).collect()
}

/// With `--all`, the first word is a share too.
fn shares_of_all(arguments: &Set) -> anyhow::Result<Vec<Share>> {
    let typed = &arguments.split;
    let first: Share = typed
        .parse()
        .map_err(|why| anyhow!("--all means every split, and {typed:?} is no share: {why}"))?;
    let shares = std::iter::once(first).chain(arguments.shares.iter().cloned());
    Ok(shares.collect())
}

async fn all_splits(arguments: &Set, caller: &Caller) -> anyhow::Result<Outcome> {
    let shares = shares_of_all(arguments)?;
    let all = SettingOfAll {
        audience: &arguments.audience,
        shares: &shares,
    };
    let terms = terms(arguments.dry_run, arguments.force, &arguments.reason);
    if !arguments.scope.all_namespaces {
        let store = stores::one(&arguments.store).await?;
        let place = Place::One(store.clone());
        let made = place.said(set_all(&store, caller, &all, &terms));
        let parked = parked_for(&shares, std::slice::from_ref(&store));
        let (made, parked) = tokio::join!(made, parked);
        let made = made?;
        let outcome = say(&made);
        say_parked(parked.iter().flatten(), &made.changes);
        let splits: BTreeSet<&str> = made
            .changes
            .iter()
            .map(|change| &*change.key.split)
            .collect();
        for split in splits {
            warn_where_nobody_moves(&store, split).await;
        }
        return Ok(outcome);
    }
    let cluster = stores::whole_cluster(&arguments.store).await?;
    let place = Place::Everywhere(cluster.clone());
    let stores = telling(place.said(everywhere(&cluster)).await?);
    let each = as_any(&stores);
    let changes = set_all_everywhere(stores, caller, &all, &terms);
    let (changes, parked) = tokio::join!(changes, parked_for(&shares, &each));
    let mut changes = beside(changes, parked);
    let has_it = |(change, _): &(PluginChange, Vec<Parked>)| {
        !change
            .result
            .as_ref()
            .is_err_and(OperationError::lacks_split)
    };
    if changes.iter().any(has_it) {
        // Of several plugins, some may have nothing of the kind.
        changes.retain(has_it);
    }
    Ok(say_each(changes))
}

/// Says what became of each plugin.
fn say_each(changes: Vec<(PluginChange, Vec<Parked>)>) -> Outcome {
    let mut outcome = Outcome::Good;
    for (PluginChange { plugin, result }, parked) in changes {
        match result {
            Ok(made) => {
                if say_notes(&made.notes) == Outcome::Problems {
                    outcome = Outcome::Problems;
                }
                output::line(format!("{plugin}:\n{}", report(&made)));
                say_parked(&parked, &made.changes);
            }
            Err(error) => {
                output::error(&anyhow::Error::from(error).context(plugin));
                outcome = Outcome::Problems;
            }
        }
    }
    outcome
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
