//! `sluice refetch`: an annotation edit that makes the agents of stuck proxies fetch the module again.
//!
//! Agents do not retry a failed fetch by themselves; any push of the plugin makes them (measured on Istio 1.31).

use super::{Outcome, stores};
use crate::cli::Refetch;
use crate::output;
use crate::store::kubernetes::Kubernetes;

pub(super) fn run(arguments: &Refetch) -> anyhow::Result<Outcome> {
    let stores = if arguments.scope.all_namespaces {
        stores::everywhere(&arguments.cluster)?.into_iter().map(|(_, store)| store).collect()
    } else {
        vec![Kubernetes::new(stores::cluster(&arguments.cluster)?, arguments.cluster.plugin.clone())]
    };
    let mut outcome = Outcome::Good;
    for store in stores {
        match store.touch(jiff::Timestamp::now()) {
            Ok(found) => output::line(format!("{}: pushed again; see `sluice status`", found.plugin.source)),
            Err(error) => {
                output::error(&error);
                outcome = Outcome::Problems;
            }
        }
    }
    Ok(outcome)
}
