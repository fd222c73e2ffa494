//! `sluice refetch`: an annotation edit that makes the agents of stuck proxies fetch the module again.
//!
//! Agents do not retry a failed fetch by themselves; any push of the plugin makes them (measured on Istio 1.31).

use super::arguments::{ClusterArgs, ScopeArgs};
use super::outcome::Outcome;
use super::stores;
use crate::cluster::plugins::Found;
use crate::command::output;
use crate::operations::Caller;
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
    let now = caller.now();
    let say = |found: &Found| {
        output::line(format!(
            "{}: pushed again; see `sluice status`",
            found.plugin.source
        ))
    };
    if !arguments.scope.all_namespaces {
        let store = Kubernetes::new(
            stores::cluster(&arguments.cluster).await?,
            arguments.cluster.plugin.clone(),
        );
        say(&store.touch(now).await?);
        return Ok(Outcome::Good);
    }
    let mut outcome = Outcome::Good;
    for (title, store) in stores::everywhere(&arguments.cluster).await? {
        match store.touch(now).await {
            Ok(found) => say(&found),
            Err(error) => {
                output::error(&error.context(title));
                outcome = Outcome::Problems;
            }
        }
    }
    Ok(outcome)
}
