//! Which plugins of a cluster an operation works on: all of ours, or those that have a split.

use std::collections::BTreeSet;

use sluice_core::plan::Node;

use super::OperationError;
use crate::cluster::Cluster;
use crate::cluster::plugins::{Scope, ours};
use crate::model::suggest;
use crate::store::kubernetes::Kubernetes;
use crate::store::{AnyStore, Store as _};

/// A store, and what results call it.
#[derive(Clone, Debug)]
pub struct TitledStore {
    /// The plugin's kind, namespace and name; `None` where only one store is asked, and nobody
    /// wonders which.
    pub title: Option<String>,
    /// The store.
    pub store: AnyStore,
}

/// Every plugin of ours in a cluster, with its title.
///
/// # Errors
/// When there is none, or they cannot be listed.
pub async fn everywhere(cluster: &Cluster) -> Result<Vec<(String, Kubernetes)>, OperationError> {
    let live = ours(cluster, &Scope::Everywhere).await?;
    if live.is_empty() {
        return Err(OperationError::NoPlugin);
    }
    let titled = live.iter().map(|live| {
        (
            live.plugin.source.clone(),
            Kubernetes::of(cluster.clone(), live),
        )
    });
    Ok(titled.collect())
}

/// Every plugin of the cluster that has the split, with its title.
///
/// # Errors
/// When none has it, or one of them cannot be read.
pub async fn with_split(
    cluster: &Cluster,
    split: &str,
) -> Result<Vec<(String, Kubernetes)>, OperationError> {
    let mut known = BTreeSet::new();
    let mut with_it = Vec::new();
    for (title, store) in everywhere(cluster).await? {
        let plan = store.snapshot().await?.plugin.plan(&Node::default())?;
        if plan.split_named(split).is_some() {
            with_it.push((title, store));
        }
        let names = plan.splits().iter();
        known.extend(names.map(|split| split.definition.name.to_string()));
    }
    if with_it.is_empty() {
        return Err(OperationError::NowhereSplit {
            split: split.to_owned(),
            hint: Some(suggest::hint(split, known.iter().map(String::as_str))),
        });
    }
    Ok(with_it)
}
