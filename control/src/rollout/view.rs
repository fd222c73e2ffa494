//! What people read of one Rollout: its status, its steps with the time that is left, the weights in
//! force, who follows and whom it reached. Read here, shown by the commands and whatever else asks.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;
use sluice_core::allocation::Percent;
use sluice_core::plan::Plan;

use super::outline::StepLine;
use super::resource::Span;
use super::rollouts::{Found, Host, RolloutStore};
use super::status::{Phase, Run, Stage, Status};
use crate::cluster::prometheus::Prometheus;
use crate::model::weights::{Weight, WeightKey, WeightSet};
use crate::operations::status::following::{self, Following};
use crate::operations::status::measured;
use crate::store::kubernetes::Kubernetes;
use crate::store::{AnyStore, Snapshot, Store as _};

/// One Rollout.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct View {
    /// Where it is kept, as people call it.
    pub store: String,
    /// Its namespace, in a cluster.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// Its name.
    pub name: String,
    /// The split.
    pub split: String,
    /// The version that it wants.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// Its group.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// Whether somebody runs it.
    pub host: Host,
    /// How many commands nobody obeyed yet.
    pub waiting_commands: usize,
    /// What is wrong with its spec.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub mistakes: Vec<String>,
    /// Its steps.
    pub steps: Vec<StepView>,
    /// What is in force; `None` where it was not looked at, or could not be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub in_force: Option<InForce>,
    /// Why that is not known.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub unknown: Vec<String>,
    /// How far it is, as it is kept.
    pub status: Status,
}

/// One step.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct StepView {
    /// What it is.
    #[serde(flatten)]
    pub step: StepLine,
    /// Where the run is with it.
    pub state: StepState,
    /// How long its hold still takes, as people write it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub left: Option<String>,
}

/// Where a run is with a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum StepState {
    /// It is over.
    Done,
    /// The run is in it.
    Current,
    /// The run ended in it.
    Ended,
    /// It is still to come.
    ToCome,
}

/// What is in force of a Rollout's split.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct InForce {
    /// The challenger.
    pub challenger: String,
    /// Its weight by audience, as the store has it.
    pub weights: BTreeMap<String, Percent>,
    /// Who follows; `None` where nobody can be asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub proxies: Option<Proxies>,
    /// About whom the challenger reached, by audience.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub users: Vec<Reached>,
    /// What guards took out.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tripped: Vec<String>,
}

/// Who follows.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Proxies {
    /// How many run the split as it is wanted.
    pub converged: usize,
    /// Of how many.
    pub total: usize,
    /// Which do not, the first of them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub lagging: Vec<String>,
}

/// About how many users of an audience a challenger reached since the split last changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Reached {
    /// The audience.
    pub audience: String,
    /// Users who got it.
    pub users: u64,
    /// Those of them with a failed response.
    pub failed: u64,
}

/// How many proxies that do not follow are named.
const MAX_NAMED_LAGGING: usize = 5;

/// A Rollout as it is kept, without a look at its split.
pub fn kept(store: &RolloutStore, found: &Found, now: Timestamp) -> View {
    let rollout = &found.rollout;
    View {
        store: store.title(),
        namespace: found.namespace.clone(),
        name: rollout.name.clone(),
        split: rollout.split.clone(),
        version: rollout.version.clone(),
        group: rollout.group.clone(),
        host: found.host,
        waiting_commands: found.waiting.len(),
        mistakes: found.mistakes.clone(),
        steps: steps(&found.steps, found.status.run.as_ref(), now),
        in_force: None,
        unknown: Vec::new(),
        status: found.status.clone(),
    }
}

/// The same with what is in force of its split, as far as that can be seen: who cannot see it reads
/// why. Of a cluster's proxies, `prometheus` tells, with Istio's root namespace beside it.
pub async fn looked_at(
    store: &RolloutStore,
    found: &Found,
    prometheus: Option<(&Prometheus, &str)>,
    now: Timestamp,
) -> View {
    let mut view = kept(store, found, now);
    let weights = store.weights(found);
    match weights.snapshot().await {
        Ok(snapshot) => see(&mut view, &weights, &snapshot, found, prometheus).await,
        Err(error) => view.unknown.push(format!("weights: {error:#}")),
    }
    view
}

async fn see(
    view: &mut View,
    weights: &AnyStore,
    snapshot: &Snapshot,
    found: &Found,
    prometheus: Option<(&Prometheus, &str)>,
) {
    let split = &found.rollout.split;
    let plan = match snapshot.plugin.plan_at_home() {
        Ok(plan) => plan,
        Err(error) => return view.unknown.push(format!("weights: {error:#}")),
    };
    let Some(challenger) = found.challenger(&plan) else {
        return view
            .unknown
            .push(format!("the plugin has no challenger of split {split}"));
    };
    let written = WeightSet::of_config(&snapshot.plugin.config);
    let weight = |audience: &String| {
        let key = WeightKey::new(split, audience, &challenger);
        match written.weight(&key) {
            Some(Weight::Percent(percent)) => *percent,
            _ => Percent::ZERO,
        }
    };
    let audiences = found.rollout.audiences.iter();
    let mut in_force = InForce {
        weights: audiences.map(|name| (name.clone(), weight(name))).collect(),
        challenger,
        ..InForce::default()
    };
    match asked(weights, &plan, split, prometheus).await {
        Ok(Some(following)) => in_force.follow(&plan, found, &following),
        Ok(None) => {}
        Err(error) => view.unknown.push(format!("proxies: {error:#}")),
    }
    view.in_force = Some(in_force);
}

/// Who follows; `None` where nobody can be asked.
async fn asked(
    weights: &AnyStore,
    plan: &Plan,
    split: &str,
    prometheus: Option<(&Prometheus, &str)>,
) -> anyhow::Result<Option<Following>> {
    match (weights, prometheus) {
        (AnyStore::Directory(directory), _) => {
            following::in_directory(directory, plan, split).await
        }
        (AnyStore::Kubernetes(kubernetes), Some(prometheus)) => {
            in_cluster(kubernetes, plan, split, prometheus)
                .await
                .map(Some)
        }
        (AnyStore::Kubernetes(_), None) => Ok(None),
    }
}

async fn in_cluster(
    kubernetes: &Kubernetes,
    plan: &Plan,
    split: &str,
    prometheus: (&Prometheus, &str),
) -> anyhow::Result<Following> {
    let live = kubernetes.read().await?;
    following::in_cluster(kubernetes, &live, plan, split, prometheus).await
}

impl InForce {
    fn follow(&mut self, plan: &Plan, found: &Found, following: &Following) {
        let lagging = following.lagging.iter().take(MAX_NAMED_LAGGING);
        self.proxies = Some(Proxies {
            converged: following.converged,
            total: following.total,
            lagging: lagging
                .map(|proxy| format!("{}/{}", proxy.namespace, proxy.pod))
                .collect(),
        });
        let tripped = following.tripped.iter();
        self.tripped = tripped.map(ToString::to_string).collect();
        let rows = measured::rows(plan, None, following.users.as_ref());
        let split = &found.rollout.split;
        self.users = rows
            .into_iter()
            .filter(|row| row.split == *split && row.variant == self.challenger)
            .filter(|row| found.rollout.audiences.contains(&row.audience))
            .filter_map(|row| {
                Some(Reached {
                    users: row.users?,
                    failed: row.failed_users?,
                    audience: row.audience,
                })
            })
            .collect();
    }
}

fn steps(lines: &[StepLine], run: Option<&Run>, now: Timestamp) -> Vec<StepView> {
    let lines = lines.iter().enumerate();
    lines
        .map(|(index, step)| StepView {
            step: step.clone(),
            state: state(index, run),
            left: run.and_then(|run| left(index, step, run, now)),
        })
        .collect()
}

fn state(index: usize, run: Option<&Run>) -> StepState {
    let Some(run) = run else {
        return StepState::ToCome;
    };
    let is_over = run.stage == Stage::Over;
    let has_succeeded = run.has_succeeded();
    match index.cmp(&run.step) {
        std::cmp::Ordering::Less => StepState::Done,
        std::cmp::Ordering::Equal if is_over && has_succeeded => StepState::Done,
        std::cmp::Ordering::Equal if is_over => StepState::Ended,
        std::cmp::Ordering::Equal => StepState::Current,
        std::cmp::Ordering::Greater => StepState::ToCome,
    }
}

/// How long the hold of the step that a run is in still takes.
fn left(index: usize, step: &StepLine, run: &Run, now: Timestamp) -> Option<String> {
    if index != run.step || run.stage != Stage::Holding {
        return None;
    }
    let length = SignedDuration::try_from(step.length()).ok()?;
    let end = run.converged?.checked_add(length).ok()?;
    let seconds = end.duration_since(now).as_secs().max(0);
    Some(Span::of_seconds(seconds.unsigned_abs())?.to_string())
}

impl View {
    /// Whether its last run is over and no other is wanted: nothing more will come by itself.
    pub fn has_settled(&self) -> bool {
        let run = self.status.run.as_ref();
        let is_of_version = run.is_some_and(|run| run.version == self.version);
        let is_over = run.is_some_and(|run| run.stage == Stage::Over);
        is_of_version && is_over && !self.status.is_start_wanted && self.waiting_commands == 0
    }

    /// Whether the last run ended well.
    pub fn has_succeeded(&self) -> bool {
        self.status.run.as_ref().is_some_and(Run::has_succeeded)
    }

    /// Whether nobody runs it although it has something to do.
    pub fn is_abandoned(&self) -> bool {
        let status = &self.status;
        let has_work = status.phase.is_under_way()
            || matches!(status.phase, Phase::Waiting | Phase::Blocked)
            || self.waiting_commands > 0;
        self.host == Host::Nobody && has_work
    }
}
