//! Which stores the arguments mean: a directory, one plugin of a cluster, or all of them.

use std::path::Path;

use anyhow::bail;

use super::arguments::{ClusterArgs, ScopeArgs, StoreArgs};
use crate::cluster::{Address, Cluster};
use crate::files;
use crate::model::plugin::Plugin;
use crate::operations::plugins::{self, TitledStore};
use crate::store::directory::Directory;
use crate::store::kubernetes::Kubernetes;
use crate::store::{AnyStore, Store as _};

/// A place where configurations are kept.
pub(super) enum Backend {
    /// A directory.
    Directory(Directory),
    /// A cluster.
    Cluster(Cluster),
}

/// Where the arguments point: a directory where one is named or the current one is one, else a
/// cluster.
pub(super) async fn backend(arguments: &StoreArgs) -> anyhow::Result<Backend> {
    let is_cluster_named = arguments.cluster != ClusterArgs::default();
    match &arguments.dir {
        Some(dir) if is_cluster_named => bail!(
            "a directory ({}, by --dir or SLUICE_DIR) and a cluster (by -n, --context, --kubeconfig or --plugin); \
             accepted: one of them",
            dir.display()
        ),
        Some(dir) => Ok(Backend::Directory(Directory::open(dir)?)),
        None if !is_cluster_named && Path::new("plugin.yaml").is_file() => {
            Ok(Backend::Directory(Directory::open(Path::new("."))?))
        }
        None => Ok(Backend::Cluster(cluster(&arguments.cluster).await?)),
    }
}

/// The cluster that the arguments name.
pub(super) async fn cluster(arguments: &ClusterArgs) -> anyhow::Result<Cluster> {
    Cluster::connect(&Address {
        kubeconfig: arguments.kubeconfig.clone(),
        context: arguments.context.clone(),
        namespace: arguments.namespace.clone(),
    })
    .await
}

/// The one store that the arguments name.
pub(super) async fn one(arguments: &StoreArgs) -> anyhow::Result<AnyStore> {
    Ok(match backend(arguments).await? {
        Backend::Directory(directory) => AnyStore::Directory(directory),
        Backend::Cluster(cluster) => {
            AnyStore::Kubernetes(Kubernetes::new(cluster, arguments.cluster.plugin.clone()))
        }
    })
}

/// The configuration of a file or, without one, of the store.
pub(super) async fn plugin(file: Option<&Path>, arguments: &StoreArgs) -> anyhow::Result<Plugin> {
    match file {
        Some(file) => files::plugin(file),
        None => Ok(one(arguments).await?.snapshot().await?.plugin),
    }
}

/// Every plugin of ours in the cluster that the arguments name, with its title.
pub(super) async fn everywhere(
    arguments: &ClusterArgs,
) -> anyhow::Result<Vec<(String, Kubernetes)>> {
    Ok(plugins::everywhere(&cluster(arguments).await?).await?)
}

/// The stores that the arguments name: one without a title, or with `-A` every plugin with its own.
pub(super) async fn some(
    arguments: &StoreArgs,
    scope: ScopeArgs,
) -> anyhow::Result<Vec<TitledStore>> {
    if !scope.all_namespaces {
        let store = one(arguments).await?;
        return Ok(vec![TitledStore { title: None, store }]);
    }
    if let Some(dir) = &arguments.dir {
        bail!(
            "-A and the directory {} (by --dir or SLUICE_DIR); accepted: one of them",
            dir.display()
        );
    }
    let titled = |(title, store)| TitledStore {
        title: Some(title),
        store: AnyStore::Kubernetes(store),
    };
    let stores = everywhere(&arguments.cluster).await?;
    Ok(stores.into_iter().map(titled).collect())
}
