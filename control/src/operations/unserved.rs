//! Splits of a store that move nobody although their weights say so: only the anonymous cookie could
//! tell their users apart, and no gateway decides them.
//!
//! The judgement is [`analyze::anonymous`]'s; here is what a store has around its plugin, and in a
//! cluster the plugins of other namespaces. Looked up only where a split needs a gateway.

use futures::StreamExt as _;
use sluice_core::plan::{Node, NodeKind, Split};

use super::validate::Subject;
use crate::analyze::anonymous::{Unserved, is_split, needs_gateway};
use crate::analyze::{self, ROOT_NAMESPACE};
use crate::cluster::plugins::{LivePlugin, Scope, ours};
use crate::cluster::{Cluster, pods};
use crate::store::{AnyStore, Store as _};

/// How many plugins are judged after a change of many. Chosen: a change of a thousand is not to
/// take longer because of a warning; `validate -A` judges all.
pub const MAX_JUDGED_PLUGINS: usize = 20;

/// How many plugins with the split are asked whether they select a gateway's pods, and how many at
/// once. Chosen: less than a second of an API server's time.
const MAX_ASKED_PLUGINS: usize = 200;
const ASKED_AT_ONCE: usize = 16;

/// Where splits of several stores move nobody.
#[derive(Clone, Debug, Default)]
pub struct UnservedEverywhere {
    /// One for each plugin that was judged and moves nobody.
    pub unserved: Vec<Unserved>,
    /// How many plugins were not judged, because there are more than [`MAX_JUDGED_PLUGINS`].
    pub unjudged: usize,
}

/// Why a split of a store moves nobody; `None` where its weights are all 0 or 100, where a gateway
/// decides it or nothing tells who does, and where the store cannot be read.
pub async fn unserved(store: &AnyStore, split: &str) -> Option<Unserved> {
    let stores = std::slice::from_ref(store);
    unserved_everywhere(stores, split).await.unserved.pop()
}

/// The same for a split of several stores.
pub async fn unserved_everywhere(stores: &[AnyStore], split: &str) -> UnservedEverywhere {
    let mut needing = Vec::new();
    for store in stores.iter().take(MAX_JUDGED_PLUGINS) {
        if needs_one(store, split).await {
            needing.push(store.clone());
        }
    }
    let mut unserved = judged(&needing, split).await;
    let cluster = needing.iter().find_map(|store| match store {
        AnyStore::Kubernetes(store) => Some(store.cluster()),
        AnyStore::Directory(_) => None,
    });
    if let Some(cluster) = cluster
        && !unserved.is_empty()
        && is_at_a_gateway(cluster, split).await
    {
        unserved.clear();
    }
    UnservedEverywhere {
        unserved,
        unjudged: stores.len().saturating_sub(MAX_JUDGED_PLUGINS),
    }
}

/// Whether only a gateway could move users of a store's split.
async fn needs_one(store: &AnyStore, split: &str) -> bool {
    let Ok(snapshot) = store.snapshot().await else {
        return false;
    };
    let plan = snapshot.plugin.plan(&Node::default());
    plan.is_ok_and(|plan| {
        let split = plan.split_named(split);
        split.is_some_and(|split: &Split| needs_gateway(split) && is_split(split))
    })
}

async fn judged(stores: &[AnyStore], split: &str) -> Vec<Unserved> {
    let Ok(subject) = Subject::of_stores(stores, ROOT_NAMESPACE).await else {
        return Vec::new();
    };
    let mut unserved = analyze::unserved(&subject.plugins, &subject.surroundings(ROOT_NAMESPACE));
    unserved.retain(|unserved| unserved.split == split);
    unserved
}

/// Whether another plugin of the cluster has the split and selects a gateway's pods. Where the
/// account may not look, none does.
async fn is_at_a_gateway(cluster: &Cluster, split: &str) -> bool {
    let everywhere = ours(cluster, &Scope::Everywhere).await;
    let has_it = |live: &LivePlugin| {
        let plan = live.plugin.plan(&Node::default());
        plan.is_ok_and(|plan| plan.split_named(split).is_some())
    };
    let everywhere = everywhere.unwrap_or_default();
    let with_it: Vec<LivePlugin> = everywhere.into_iter().filter(has_it).collect();
    let asked = with_it.iter().take(MAX_ASKED_PLUGINS);
    let asked = asked.map(|live| pods::kinds(cluster, live, ROOT_NAMESPACE));
    let mut kinds = futures::stream::iter(asked).buffer_unordered(ASKED_AT_ONCE);
    while let Some(kinds) = kinds.next().await {
        if kinds.is_some_and(|kinds| kinds.contains(&NodeKind::Gateway)) {
            return true;
        }
    }
    false
}
