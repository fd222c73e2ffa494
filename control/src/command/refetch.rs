//! `sluice refetch`: an annotation edit that makes the agents of stuck proxies fetch the module
//! again.

use super::arguments::{ClusterArgs, ScopeArgs};
use super::changes::say_notes;
use super::outcome::Outcome;
use super::stores::Place;
use super::{output, stores};
use crate::operations::Caller;
use crate::operations::plugins::everywhere;
use crate::operations::refetch::{Refetched, refetch};
use crate::store::AnyStore;
use crate::store::kubernetes::Kubernetes;

/// `sluice refetch`.
#[derive(clap::Args, Debug)]
pub(super) struct Refetch {
    /// Which cluster, and where in it.
    #[command(flatten)]
    cluster: ClusterArgs,
    /// Whether every plugin of the cluster is meant.
    #[command(flatten)]
    scope: ScopeArgs,
}

pub(super) async fn run(arguments: &Refetch, caller: &Caller) -> anyhow::Result<Outcome> {
    if !arguments.scope.all_namespaces {
        let cluster = stores::cluster(&arguments.cluster).await?;
        let store = Kubernetes::new(cluster, arguments.cluster.plugin.clone());
        let place = Place::One(AnyStore::Kubernetes(store.clone()));
        return Ok(say(&place.said(refetch(&store, caller)).await?));
    }
    let mut outcome = Outcome::Good;
    let cluster = stores::cluster(&arguments.cluster).await?;
    let place = Place::Everywhere(cluster.clone());
    for (title, store) in place.said(everywhere(&cluster)).await? {
        match refetch(&store, caller).await {
            Ok(refetched) if say(&refetched) == Outcome::Good => {}
            Ok(_) => outcome = Outcome::Problems,
            Err(error) => {
                output::error(&anyhow::Error::from(error).context(title));
                outcome = Outcome::Problems;
            }
        }
    }
    Ok(outcome)
}

fn say(refetched: &Refetched) -> Outcome {
    let plugin = &refetched.plugin;
    output::line(format!("{plugin}: pushed again; see `sluice status`"));
    say_notes(&refetched.notes)
}
