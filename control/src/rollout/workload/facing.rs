//! What is to be done about a Rollout's two Deployments, and what that is decided by.

use std::time::Duration;

use jiff::Timestamp;
use sluice_core::allocation::Percent;

use super::Workload;
use super::kept::Kept;
use super::seen::{AutoscalerWork, Both, Pods};

/// What is to be done. A repetition changes nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Make the copy, of the template of a version.
    Copy {
        /// The version.
        version: String,
        /// How many pods.
        replicas: u32,
    },
    /// Give the copy the template of a version.
    Promote {
        /// The version.
        version: String,
        /// The versions whose templates are kept.
        kept: Vec<String>,
    },
    /// Keep the template that the copy has.
    Remember,
    /// Give the copy so many pods.
    ScaleCopy {
        /// How many.
        replicas: u32,
    },
    /// Give the Deployment so many pods.
    Scale {
        /// How many.
        replicas: u32,
    },
    /// Delete the copy.
    DeleteCopy,
    /// See to the copy's autoscaler.
    Autoscaler(AutoscalerWork),
}

/// What was seen, and what it is to be.
#[derive(Clone, Copy, Debug)]
pub struct Facing<'f> {
    /// What is written.
    pub workload: &'f Workload,
    /// What was seen.
    pub both: &'f Both,
    /// What is remembered.
    pub kept: &'f Kept,
    /// When.
    pub now: Timestamp,
}

impl Facing<'_> {
    /// How many pods everybody needs at the copy: as many as it had when they left it, and never none.
    pub(super) fn serving(&self, copy: &Pods) -> u32 {
        copy.replicas.max(self.kept.serving).max(1)
    }

    /// How many pods of the challenger a weight needs.
    pub(super) fn needed(&self, weight: Percent, copy: &Pods) -> u32 {
        self.workload.needed(weight, self.serving(copy))
    }

    /// How many of those are asked for: as many as there are, where an autoscaler may say so.
    pub(super) fn granted(&self, kept: &mut Kept, needed: u32, by: Scaling) -> u32 {
        let replicas = self.both.wanted.replicas;
        kept.note_scale(replicas, needed);
        match by == Scaling::OrAutoscaler && self.both.is_autoscaled {
            true => needed.min(replicas).max(1),
            false => needed,
        }
    }
}

/// Who says how many pods a step has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scaling {
    /// Its weight.
    ByWeight,
    /// An autoscaler, where there is one.
    OrAutoscaler,
}

/// What there is between two runs.
#[derive(Clone, Copy, Debug)]
pub struct Between<'b> {
    /// Whether nobody has the challenger, by the weights of the Rollout's audiences.
    pub is_empty: bool,
    /// An audience that the Rollout does not move and that has the challenger, and how much.
    pub other: Option<(&'b str, Percent)>,
    /// Whether proxies have heard of that.
    pub is_followed: bool,
    /// How many are known not to have: users may be sent to the challenger there.
    pub stale: usize,
    /// How long one that never says so is waited for.
    pub patience: Duration,
    /// The weight of everybody.
    pub everyone: Percent,
    /// When the last run ended.
    pub ended: Option<Timestamp>,
    /// The version of the last run, if it succeeded.
    pub succeeded: Option<&'b str>,
    /// The version of the last run, if it did not.
    pub failed: Option<&'b str>,
    /// The number of the last run.
    pub run: u64,
    /// Of how many runs templates are kept.
    pub window: u32,
    /// Whether a run is wanted of what the Deployment is now.
    pub is_run_wanted: bool,
}

/// What is done between two runs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rest {
    /// What is to be done.
    pub action: Option<Action>,
    /// What is to be remembered.
    pub kept: Kept,
    /// Whether the challenger's weights are to be 0, because the copy is what it is.
    pub is_to_finish: bool,
    /// Whether a run may begin.
    pub may_begin: bool,
    /// What is waited for, or wrong.
    pub says: Option<String>,
    /// What is wrong, also where a run that failed says how.
    pub warns: Option<String>,
}

impl Rest {
    /// The copy serves everyone with what it has.
    pub(super) fn note_promoted(&mut self, copy: &Pods, between: &Between<'_>) {
        if self.kept.is_unjudged && between.succeeded != Some(&copy.version) {
            // Somebody's weight is no judgement.
            return;
        }
        self.kept.is_unjudged = false;
        let promotions = &mut self.kept.promotions;
        promotions.note(&copy.version, between.run, between.window);
    }
}

/// What is waited for, in a sentence.
pub(super) fn unready(name: &str, pods: &Pods, needed: u32) -> String {
    let Pods { ready, version, .. } = pods;
    let ready = ready.min(&needed);
    let trouble = pods.trouble.as_ref();
    let trouble = trouble.map_or_else(String::new, |trouble| format!(": {trouble}"));
    match pods.is_uniform {
        true if *ready >= needed => {
            format!("{needed} pods of Deployment {name} are ready; proxies hear of them")
        }
        _ => format!(
            "{ready} of {needed} pods of Deployment {name} are ready, of {version}{trouble}"
        ),
    }
}
