//! Which plugins of a cluster an operation works on: all of ours, or those that have a split.

use std::collections::BTreeSet;
use std::pin::pin;

use futures::future::{Either, select};
use sluice_core::plan::Node;

use super::OperationError;
use crate::cluster::Cluster;
use crate::cluster::plugins::{self, Listed, LivePlugin, Scope};
use crate::model::suggest;
use crate::store::kubernetes::Kubernetes;
use crate::store::{AnyStore, Note};

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
    let live = listed(cluster).await.all()?;
    titled(cluster, live)
}

/// Every plugin of ours that could be listed, with its title, and what could not: an abort goes on
/// without the rest.
///
/// # Errors
/// When there is none, or none can be listed.
pub async fn as_listed(
    cluster: &Cluster,
) -> Result<(Vec<(String, Kubernetes)>, Vec<Note>), OperationError> {
    let listed = listed(cluster).await;
    if listed.live.is_empty() {
        return Ok((titled(cluster, listed.all()?)?, Vec::new()));
    }
    let notes = listed.unlisted.into_iter().map(Note::from).collect();
    Ok((titled(cluster, listed.live)?, notes))
}

fn titled(
    cluster: &Cluster,
    live: Vec<LivePlugin>,
) -> Result<Vec<(String, Kubernetes)>, OperationError> {
    if live.is_empty() {
        return Err(OperationError::NoPlugin);
    }
    let titled = |live: LivePlugin| {
        let title = live.plugin.source.clone();
        (title, Kubernetes::listed(cluster.clone(), live))
    };
    Ok(live.into_iter().map(titled).collect())
}

/// What asking every plugin for a split came to.
#[derive(Debug)]
pub struct WithSplit {
    /// Every plugin that has it, with its title.
    pub stores: Vec<(String, Kubernetes)>,
    /// Every plugin that no proxy reads, so that it is not known what it has.
    pub unreadable: Vec<anyhow::Error>,
}

/// Every plugin of the cluster that has the split, with its title.
///
/// # Errors
/// When none has it, or they cannot be listed.
pub async fn with_split(cluster: &Cluster, split: &str) -> Result<WithSplit, OperationError> {
    let mut known = BTreeSet::new();
    let (mut stores, mut unreadable) = (Vec::new(), Vec::new());
    let live = listed(cluster).await.all()?;
    if live.is_empty() {
        return Err(OperationError::NoPlugin);
    }
    for live in live {
        let plan = match live.plugin.plan(&Node::default()) {
            Ok(plan) => plan,
            Err(error) => {
                unreadable.push(error);
                continue;
            }
        };
        if plan.split_named(split).is_some() {
            let title = live.plugin.source.clone();
            stores.push((title, Kubernetes::listed(cluster.clone(), live)));
        }
        let names = plan.splits().iter();
        known.extend(names.map(|split| split.definition.name.to_string()));
    }
    if stores.is_empty() && unreadable.is_empty() {
        return Err(OperationError::NowhereSplit {
            split: split.to_owned(),
            hint: Some(suggest::hint(split, known.iter().map(String::as_str))),
        });
    }
    Ok(WithSplit { stores, unreadable })
}

/// Every plugin of ours as one listing shows it. Who asks is asked meanwhile, so that it is known
/// when the first of many is written.
async fn listed(cluster: &Cluster) -> Listed {
    let listing = pin!(plugins::listed(cluster, &Scope::Everywhere));
    match select(listing, pin!(cluster.caller())).await {
        Either::Left((listed, _)) => listed,
        Either::Right((_, listing)) => listing.await,
    }
}
