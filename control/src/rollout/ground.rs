//! Where a Rollout is run: what its host gives the runner, and is told by it.

use std::sync::Arc;

use jiff::Timestamp;
use serde::Serialize;

use super::analysis::plan;
use super::commands::Command;
use super::engine::EventKind;
use super::look::Looked;
use super::peers::Summary;
use super::proxies::Seen;
use super::secrets::SecretReader;
use super::sources::Source;
use super::status::{Phase, Status};
use super::watch;
use super::workload::Workload;
use super::workload::next;
use super::workload::seen::{Asked, WorkloadSeen};
use super::workload::services::{self, Selection};
use super::world::{Failure, ProxiesSeen, Reached};
use crate::cluster::prometheus::Prometheus;
use crate::store::Store;

/// What is said where somebody else would see to Deployments.
pub const ONLY_A_CONTROLLER: &str = "spec.workload: only `sluice controller` follows a Deployment";

/// Where a Rollout is run: its store, and everything else that is looked at or kept.
pub trait Ground: Send + Sync {
    /// The store of the split.
    type Store: Store;

    /// The store of the split.
    fn store(&self) -> &Self::Store;

    /// Keeps a status; once this returns, another host would go on from it.
    ///
    /// # Errors
    /// When it cannot be kept: then nothing is done either.
    fn keep(&self, status: &Status) -> impl Future<Output = anyhow::Result<()>> + Send;

    /// What people asked for.
    ///
    /// # Errors
    /// When it cannot be read.
    fn commands(&self) -> anyhow::Result<Vec<Command>>;

    /// The other Rollouts of the namespace or directory.
    ///
    /// # Errors
    /// When they cannot be read.
    fn others(&self) -> anyhow::Result<Vec<(Summary, Status)>>;

    /// Which proxies follow, and what their guards took out.
    fn proxies(&self, looked: &Looked) -> impl Future<Output = Followed> + Send;

    /// What a proxy took out, as it says itself, where since the last look it was said of that proxy.
    fn claimed(&self, _: &Looked) -> impl Future<Output = Option<String>> + Send {
        std::future::ready(None)
    }

    /// Whether something was said of proxies since this look began.
    fn is_claimed(&self) -> bool {
        false
    }

    /// What is seen of a workload's Deployments, and of what is asked about them.
    fn workload(
        &self,
        _: &Workload,
        _: &Looked,
        _: Asked<'_>,
    ) -> impl Future<Output = WorkloadSeen> + Send {
        std::future::ready(WorkloadSeen::Unknown {
            why: ONLY_A_CONTROLLER.to_owned(),
        })
    }

    /// Does something about a workload's Deployments, as they were seen last; a repetition changes
    /// nothing.
    ///
    /// # Errors
    /// Why it was not done.
    fn tend(&self, _: &next::Action) -> impl Future<Output = Result<(), Failure>> + Send {
        std::future::ready(Err(Failure::Untended(ONLY_A_CONTROLLER.to_owned())))
    }

    /// What is seen of a workload's Services, after its Deployments were looked at.
    fn services(&self, _: &Workload, _: &Looked) -> impl Future<Output = services::Seen> + Send {
        std::future::ready(services::Seen::default())
    }

    /// Lets a workload's Service have other pods, as it was seen last; a repetition changes nothing.
    ///
    /// # Errors
    /// Why it was not done.
    fn select(&self, _: &Selection) -> impl Future<Output = Result<(), Failure>> + Send {
        std::future::ready(Err(Failure::Unselected(ONLY_A_CONTROLLER.to_owned())))
    }

    /// The namespace and name of the plugin; empty where there are none.
    fn plugin(&self) -> [String; 2];

    /// What the filter's metrics call the plugin.
    fn plugin_names(&self) -> Vec<String>;

    /// What tells the Rollout from all others, also of the same name.
    fn uid(&self) -> String;

    /// What reads the secrets that the Rollout names.
    fn secrets(&self) -> Arc<dyn SecretReader>;

    /// A client for the Prometheus that a Rollout names.
    ///
    /// # Errors
    /// A secret that cannot be read, or is none.
    fn client(
        &self,
        server: &plan::Prometheus,
    ) -> impl Future<Output = anyhow::Result<Prometheus>> + Send {
        async move { watch::client(server, &*self.secrets()).await }
    }

    /// Where observations come from while no Prometheus is named.
    ///
    /// # Errors
    /// When there is no such source.
    fn own_source(&self) -> Result<Source, String>;

    /// Says what happened.
    fn tell(&self, happened: &Happened<'_>);
}

/// Which proxies follow, and what their guards took out, in words.
#[derive(Clone, Debug, PartialEq)]
pub struct Followed {
    /// Which follow.
    pub seen: ProxiesSeen,
    /// Which took the challenger out.
    pub tripped: Option<String>,
    /// Whom the challenger has reached, where they count users.
    pub reached: Option<Reached>,
}

impl Followed {
    /// Nobody asked.
    pub const fn not_asked() -> Self {
        Self::unseen(ProxiesSeen::NotAsked)
    }

    const fn unseen(seen: ProxiesSeen) -> Self {
        Self {
            seen,
            tripped: None,
            reached: None,
        }
    }

    /// Nobody asked who follows: the challenger was taken out.
    pub const fn tripped(words: String) -> Self {
        Self {
            seen: ProxiesSeen::NotAsked,
            tripped: Some(words),
            reached: None,
        }
    }

    /// What was said of them.
    pub fn of(seen: Seen) -> Self {
        match seen {
            Seen::Nobody => Self::unseen(ProxiesSeen::Nobody),
            Seen::Unknown(why) => Self::unseen(ProxiesSeen::Unknown { why }),
            Seen::Known(proxies) => Self {
                tripped: proxies.tripped.first().map(ToString::to_string),
                reached: proxies.reached,
                seen: ProxiesSeen::Seen {
                    converged: proxies.converged,
                    total: proxies.total,
                    stale: proxies.stale,
                    lagging: proxies.lagging.join(", "),
                },
            },
        }
    }
}

/// What happened, with where and when.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Happened<'h> {
    /// When.
    pub at: Timestamp,
    /// The Rollout.
    pub rollout: &'h str,
    /// What kind of thing.
    pub event: EventKind,
    /// The run's number; 0 before the first.
    pub run: u64,
    /// What the Rollout does now.
    pub phase: Phase,
    /// The step, counting from 1.
    pub step: Option<usize>,
    /// In a sentence.
    pub message: &'h str,
}
