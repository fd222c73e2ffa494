//! Splits of a store that move nobody although their weights say so: only the anonymous cookie could
//! tell their users apart, and no gateway decides them.
//!
//! The judgement is [`analyze::anonymous`]'s; here is what a store has around its plugin, and in a
//! cluster the plugins of other namespaces. Looked up only where a split needs a gateway.

use sluice_core::plan::{Node, NodeKind, Split};

use super::validate::Subject;
use crate::analyze::anonymous::{Unserved, is_split, needs_gateway};
use crate::analyze::{self, ROOT_NAMESPACE};
use crate::cluster::plugins::{Scope, ours};
use crate::cluster::{Cluster, pods};
use crate::store::{AnyStore, Store as _};

/// Why a split of a store moves nobody; `None` where its weights are all 0 or 100, where a gateway
/// decides it or nothing tells who does, and where the store cannot be read.
pub async fn unserved(store: &AnyStore, split: &str) -> Option<Unserved> {
    let snapshot = store.snapshot().await.ok()?;
    let plan = snapshot.plugin.plan(&Node::default()).ok()?;
    let needs = |split: &&Split| needs_gateway(split) && is_split(split);
    plan.split_named(split).filter(needs)?;
    let stores = std::slice::from_ref(store);
    let subject = Subject::of_stores(stores, ROOT_NAMESPACE).await.ok()?;
    let unserved = analyze::unserved(&subject.plugins, &subject.surroundings(ROOT_NAMESPACE));
    let unserved = unserved
        .into_iter()
        .find(|unserved| unserved.split == split)?;
    match store {
        AnyStore::Kubernetes(store) if is_at_a_gateway(store.cluster(), split).await => None,
        _ => Some(unserved),
    }
}

/// Whether another plugin of the cluster has the split and selects a gateway's pods. Where the
/// account may not look, none does.
async fn is_at_a_gateway(cluster: &Cluster, split: &str) -> bool {
    let everywhere = ours(cluster, &Scope::Everywhere).await;
    for live in everywhere.unwrap_or_default() {
        let plan = live.plugin.plan(&Node::default());
        let has_it = plan.is_ok_and(|plan| plan.split_named(split).is_some());
        if !has_it {
            continue;
        }
        let kinds = pods::kinds(cluster, &live, ROOT_NAMESPACE).await;
        if kinds.is_some_and(|kinds| kinds.contains(&NodeKind::Gateway)) {
            return true;
        }
    }
    false
}
