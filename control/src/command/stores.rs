//! Which stores the arguments mean: a directory, one plugin of a cluster, or all of them; and how a
//! command says on which of them it acted.

use std::fmt;
use std::path::Path;

use anyhow::bail;

use super::arguments::{ClusterArgs, ScopeArgs, StoreArgs};
use super::output;
use crate::cluster::{Address, Cluster};
use crate::files;
use crate::model::plugin::Plugin;
use crate::operations::plugins::{self, TitledStore};
use crate::store::directory::Directory;
use crate::store::kubernetes::{Doubt, Kubernetes};
use crate::store::{AnyStore, Note, Store as _};

/// The directory that is meant when none is named.
const HERE: &str = ".";

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
        None if !is_cluster_named && Path::new(HERE).join("plugin.yaml").is_file() => {
            Ok(Backend::Directory(Directory::open(Path::new(HERE))?))
        }
        None => Ok(Backend::Cluster(cluster(&arguments.cluster).await?)),
    }
}

/// The cluster that the arguments name.
pub(super) async fn cluster(arguments: &ClusterArgs) -> anyhow::Result<Cluster> {
    Cluster::connect(&Address {
        kubeconfig: arguments.kubeconfig.clone(),
        context: arguments.context()?,
        namespace: arguments.namespace.clone(),
    })
    .await
}

/// The cluster whose plugins are all meant; a directory beside `-A` is refused.
pub(super) async fn whole_cluster(arguments: &StoreArgs) -> anyhow::Result<Cluster> {
    match &arguments.dir {
        Some(dir) => bail!(
            "-A and the directory {} (by --dir or SLUICE_DIR); accepted: one of them",
            dir.display()
        ),
        None => cluster(&arguments.cluster).await,
    }
}

/// The one store that the arguments name.
pub(super) async fn one(arguments: &StoreArgs) -> anyhow::Result<AnyStore> {
    Ok(match backend(arguments).await? {
        Backend::Directory(directory) => AnyStore::Directory(directory),
        Backend::Cluster(cluster) => {
            let store = Kubernetes::new(cluster, arguments.cluster.plugin.clone());
            AnyStore::Kubernetes(store.telling(tell))
        }
    })
}

/// Says on standard error what is not certain yet.
pub(super) fn tell(doubt: &Doubt<'_>) {
    output::note(format!("note: {doubt}"));
}

/// The configuration of a file or, without one, of the store, which is then named.
pub(super) async fn plugin(file: Option<&Path>, arguments: &StoreArgs) -> anyhow::Result<Plugin> {
    match file {
        Some(file) => files::plugin(file),
        None => {
            let store = one(arguments).await?;
            let place = Place::One(store.clone());
            Ok(place.said(store.snapshot()).await?.plugin)
        }
    }
}

/// The stores that the arguments name: one without a title, or with `-A` every plugin with its own.
pub(super) async fn some(
    arguments: &StoreArgs,
    scope: ScopeArgs,
) -> anyhow::Result<(Place, Vec<TitledStore>)> {
    if !scope.all_namespaces {
        return alone(arguments).await;
    }
    let cluster = whole_cluster(arguments).await?;
    let stores = plugins::everywhere(&cluster).await?;
    let stores = stores.into_iter().map(titled).collect();
    Ok((Place::Everywhere(cluster), stores))
}

/// The same for an abort, which goes on without what cannot be listed and says so.
pub(super) async fn some_at_least(
    arguments: &StoreArgs,
    scope: ScopeArgs,
) -> anyhow::Result<(Place, Vec<TitledStore>, Vec<Note>)> {
    if !scope.all_namespaces {
        let (place, stores) = alone(arguments).await?;
        return Ok((place, stores, Vec::new()));
    }
    let cluster = whole_cluster(arguments).await?;
    let (stores, notes) = plugins::as_listed(&cluster).await?;
    let stores = stores.into_iter().map(titled).collect();
    Ok((Place::Everywhere(cluster), stores, notes))
}

async fn alone(arguments: &StoreArgs) -> anyhow::Result<(Place, Vec<TitledStore>)> {
    let store = one(arguments).await?;
    let alone = TitledStore {
        title: None,
        store: store.clone(),
    };
    Ok((Place::One(store), vec![alone]))
}

fn titled((title, store): (String, Kubernetes)) -> TitledStore {
    TitledStore {
        title: Some(title),
        store: AnyStore::Kubernetes(store.telling(tell)),
    }
}

/// What a command acts on, for people: who believes to be in a cluster and stands in a folder with
/// a plugin.yaml must see it.
pub(super) enum Place {
    /// One store.
    One(AnyStore),
    /// Every plugin of ours in a cluster.
    Everywhere(Cluster),
}

impl Place {
    /// Waits for a command's work, then says on standard error where that was done, also when it
    /// failed: only then a plugin that is not named is known.
    pub(super) async fn said<T, E>(
        &self,
        work: impl Future<Output = Result<T, E>>,
    ) -> Result<T, E> {
        let result = work.await;
        output::note(format!("on {self}"));
        result
    }
}

impl fmt::Display for Place {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::One(AnyStore::Directory(directory)) if directory.path() == Path::new(HERE) => {
                write!(
                    formatter,
                    "{} (it has a plugin.yaml; -n or --context means a cluster)",
                    directory.title()
                )
            }
            Self::One(store) => formatter.write_str(&store.title()),
            Self::Everywhere(cluster) => write!(formatter, "{}, every namespace", cluster.title()),
        }
    }
}
