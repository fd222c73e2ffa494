//! What all looks of a controller share.

use std::fmt;

use kube::runtime::reflector::{ObjectRef, Store};
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

use super::events::Events;
use super::index::Index;
use super::metrics::Metrics;
use super::mirrors::Mirrors;
use super::served::Served;
use super::servers::Servers;
use super::turns::Turns;
use crate::cluster::Cluster;
use crate::operations::Caller;
use crate::rollout::lease::Standing;
use crate::rollout::mesh::Scraped;
use crate::rollout::object::Rollout;
use crate::rollout::outbound::Outbound;

/// What all looks share.
pub(super) struct Context {
    pub(super) cluster: Cluster,
    pub(super) scraped: Scraped,
    pub(super) servers: Servers,
    pub(super) caller: Caller,
    /// Every Rollout as the watch has it.
    pub(super) watched: Store<Rollout>,
    pub(super) index: Index,
    /// What the plugins want.
    pub(super) served: Served,
    /// The plugins that are native.
    pub(super) mirrors: Mirrors,
    pub(super) turns: Turns,
    pub(super) events: Events,
    pub(super) metrics: Metrics,
    pub(super) outbound: Outbound,
    pub(super) standing: watch::Receiver<Standing>,
    pub(super) poked: mpsc::UnboundedSender<ObjectRef<Rollout>>,
}

impl fmt::Debug for Context {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = formatter.debug_struct("Context");
        shown
            .field("cluster", &self.cluster)
            .finish_non_exhaustive()
    }
}

impl Context {
    /// Whether this process leads, just now.
    pub(super) fn leads(&self) -> bool {
        self.standing.borrow().leads_at(Instant::now())
    }

    /// Whether a Rollout is there, as far as the watch knows.
    pub(super) fn is_there(&self, namespace: &str, name: &str) -> bool {
        let named = ObjectRef::new(name).within(namespace);
        self.watched.get(&named).is_some()
    }

    /// Has the Rollouts looked at that a change of a plugin, or of any in the namespace, concerns.
    pub(super) fn poke(&self, namespace: &str, plugin: Option<&str>) {
        if !self.leads() {
            return;
        }
        for concerned in self.index.concerned(namespace, plugin) {
            // The receiver is gone only when the controller ends.
            let _ = self.poked.send(concerned);
        }
    }
}
