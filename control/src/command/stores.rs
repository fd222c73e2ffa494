//! Which stores the arguments mean: a directory, one plugin of a cluster, or all of them.

use std::path::Path;

use anyhow::bail;

use super::arguments::{ClusterArgs, ScopeArgs, StoreArgs};
use crate::cluster::plugins::{self, Scope};
use crate::cluster::{Address, Cluster};
use crate::model::suggest;
use crate::store::Store;
use crate::store::directory::Directory;
use crate::store::kubernetes::Kubernetes;
use sluice_core::plan::Node;

/// A place where configurations are kept.
pub(super) enum Place {
    /// A directory.
    Directory(Directory),
    /// A cluster.
    Cluster(Cluster),
}

/// Where the arguments point: a directory where one is named or the current one is one, else a cluster.
pub(super) fn place(arguments: &StoreArgs) -> anyhow::Result<Place> {
    let is_cluster_named = arguments.cluster != ClusterArgs::default();
    match &arguments.dir {
        Some(dir) if is_cluster_named => bail!(
            "a directory ({}, by --dir or SLUICE_DIR) and a cluster (by -n, --context, --kubeconfig or --plugin); \
             accepted: one of them",
            dir.display()
        ),
        Some(dir) => Ok(Place::Directory(Directory::open(dir)?)),
        None if !is_cluster_named && Path::new("plugin.yaml").is_file() => {
            Ok(Place::Directory(Directory::open(Path::new("."))?))
        }
        None => Ok(Place::Cluster(cluster(&arguments.cluster)?)),
    }
}

/// The cluster that the arguments name.
pub(super) fn cluster(arguments: &ClusterArgs) -> anyhow::Result<Cluster> {
    Cluster::connect(&Address {
        kubeconfig: arguments.kubeconfig.clone(),
        context: arguments.context.clone(),
        namespace: arguments.namespace.clone(),
    })
}

/// The one store that the arguments name.
pub(super) fn one(arguments: &StoreArgs) -> anyhow::Result<Box<dyn Store + Send>> {
    Ok(match place(arguments)? {
        Place::Directory(directory) => Box::new(directory),
        Place::Cluster(cluster) => {
            Box::new(Kubernetes::new(cluster, arguments.cluster.plugin.clone()))
        }
    })
}

/// Every plugin of ours in the cluster that the arguments name, with its title.
pub(super) fn everywhere(arguments: &ClusterArgs) -> anyhow::Result<Vec<(String, Kubernetes)>> {
    let cluster = cluster(arguments)?;
    let found = cluster.wait(plugins::ours(&cluster, &Scope::Everywhere))?;
    if found.is_empty() {
        bail!(
            "the cluster has no plugin of ours, that is no WasmPlugin or TrafficExtension with `splits`"
        );
    }
    Ok(found
        .iter()
        .map(|found| {
            (
                found.plugin.source.clone(),
                Kubernetes::of(cluster.clone(), found),
            )
        })
        .collect())
}

/// The stores that the arguments name: one without a title, or with `-A` every plugin with its own.
pub(super) fn some(
    arguments: &StoreArgs,
    scope: ScopeArgs,
) -> anyhow::Result<Vec<(Option<String>, Box<dyn Store + Send>)>> {
    if !scope.all_namespaces {
        return Ok(vec![(None, one(arguments)?)]);
    }
    if let Some(dir) = &arguments.dir {
        bail!(
            "-A and the directory {} (by --dir or SLUICE_DIR); accepted: one of them",
            dir.display()
        );
    }
    let boxed = |(title, store)| (Some(title), Box::new(store) as Box<dyn Store + Send>);
    Ok(everywhere(&arguments.cluster)?
        .into_iter()
        .map(boxed)
        .collect())
}

/// Every plugin of the cluster that has a split; all of them when none is named.
pub(super) fn with_split(
    arguments: &StoreArgs,
    split: Option<&str>,
) -> anyhow::Result<Vec<(String, Kubernetes)>> {
    let mut known = std::collections::BTreeSet::new();
    let mut wanted = Vec::new();
    for (title, store) in everywhere(&arguments.cluster)? {
        let plan = store.snapshot()?.plugin.plan(&Node::default())?;
        if split.is_none_or(|split| plan.split_named(split).is_some()) {
            wanted.push((title, store));
        }
        known.extend(
            plan.splits()
                .iter()
                .map(|split| split.definition.name.to_string()),
        );
    }
    match split {
        Some(split) if wanted.is_empty() => {
            bail!(
                "no plugin has a split {split:?}; {}",
                suggest::hint(split, known.iter().map(String::as_str))
            )
        }
        _ => Ok(wanted),
    }
}
