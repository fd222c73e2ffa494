//! What a run and the time between two runs need of a workload's Deployments, as
//! [`crate::rollout::workload::next`] says it.

use sluice_core::allocation::Percent;
use sluice_core::plan::EVERYONE;

use super::begin::is_wanted;
use super::turn::{EventKind, Turn, is_anybody_there};
use crate::rollout::status::{Phase, Run, RunOutcome, Stage};
use crate::rollout::workload::next::{self, Between, Facing, Pace, Users};
use crate::rollout::workload::seen::{Both, WorkloadSeen};
use crate::rollout::world::{ProxiesSeen, SplitSeen};

impl Turn<'_> {
    /// Notes which version the copy has, before anything else is decided.
    pub(super) fn note_workload(&mut self) {
        if self.definition.workload.is_none() {
            return;
        }
        let Some(WorkloadSeen::Seen(both)) = &self.world.workload else {
            return;
        };
        let users = match &self.world.split {
            SplitSeen::Seen(split)
                if self.status.under_way().is_none() && !is_anybody_there(&split.weights) =>
            {
                Users::AtCopy
            }
            _ => Users::Elsewhere,
        };
        let kept = self.status.workload.get_or_insert_default();
        kept.note_copy(both.copy.as_ref(), users);
        kept.come_back_to(self.world.now);
    }

    /// Forgets since when pods are waited for: what comes now waits for others.
    pub(super) fn forget_waiting(&mut self) {
        if let Some(kept) = &mut self.status.workload {
            kept.waiting = None;
            kept.ready = None;
        }
    }

    /// Sees to the Deployments between two runs; whether a run may begin.
    pub(super) fn rest(&mut self) -> bool {
        let Some(workload) = &self.definition.workload else {
            return true;
        };
        let both = match &self.world.workload {
            Some(WorkloadSeen::Seen(both)) => both,
            Some(WorkloadSeen::Missing { what: why } | WorkloadSeen::Unknown { why }) => {
                let why = why.clone();
                self.say_resting(why);
                // Looked at again as often as one at rest.
                self.status.workload.get_or_insert_default().is_at_rest = true;
                return false;
            }
            None => return false,
        };
        let SplitSeen::Seen(split) = &self.world.split else {
            return true;
        };
        let run = self.status.run.as_ref();
        let ended = run.and_then(|run| run.ended);
        let everyone = split.weights.get(EVERYONE).copied().unwrap_or_default();
        let succeeded = run.filter(|run| run.has_succeeded());
        let between = Between {
            is_empty: !is_anybody_there(&split.weights),
            other: split
                .others
                .iter()
                .next()
                .map(|(name, percent)| (&**name, *percent)),
            is_followed: self.is_followed_by_all(),
            patience: self.definition.converge.within,
            everyone,
            ended,
            succeeded: succeeded.and_then(|run| run.version.as_deref()),
            is_run_wanted: is_wanted(self.definition, &self.status),
        };
        let kept = self.status.workload.clone().unwrap_or_default();
        let facing = Facing {
            workload,
            both,
            kept: &kept,
            now: self.world.now,
        };
        let mut rest = next::rest(&facing, &between);
        if rest.kept.is_at_rest && !kept.is_at_rest && rest.says.is_none() {
            self.say_at_rest(both, &workload.copy());
        }
        if let Some(says) = rest.says.take() {
            self.say_resting(says);
        }
        self.status.is_finishing |= rest.is_to_finish;
        self.status.workload = Some(rest.kept);
        self.workload_action = rest.action;
        rest.may_begin
    }

    /// Whether every proxy runs the weights that there are.
    fn is_followed_by_all(&self) -> bool {
        match &self.world.proxies {
            ProxiesSeen::Nobody => true,
            ProxiesSeen::Seen {
                converged, total, ..
            } => converged >= total,
            ProxiesSeen::NotAsked | ProxiesSeen::Unknown { .. } => false,
        }
    }

    /// Says what is waited for between two runs; how a run failed is not said over.
    fn say_resting(&mut self, why: String) {
        let phase = match self.status.phase {
            Phase::RolledBack | Phase::Aborted => return,
            Phase::Succeeded => Phase::Succeeded,
            _ => Phase::Waiting,
        };
        let why = match &self.world.failure {
            Some(failure) => format!("{why}; {}", failure.why()),
            None => why,
        };
        self.say_once(EventKind::Waiting, phase, why);
    }

    fn say_at_rest(&mut self, both: &Both, copy: &str) {
        let phase = match self.status.phase {
            Phase::RolledBack | Phase::Aborted => return,
            Phase::Succeeded => Phase::Succeeded,
            _ => Phase::Idle,
        };
        let version = both.copy.as_ref().map(|copy| &*copy.version);
        let version = version.unwrap_or_default();
        let message = format!("Deployment {copy} serves everyone with {version}");
        self.say_once(EventKind::Passed, phase, message);
    }

    /// Why a step's weight may not move yet, for want of pods; a step that waited too long ends the run.
    pub(super) fn unprepared(&mut self, run: &Run) -> Option<String> {
        let workload = self.definition.workload.as_ref()?;
        let both = match &self.world.workload {
            Some(WorkloadSeen::Seen(both)) => both,
            Some(WorkloadSeen::Missing { what: why } | WorkloadSeen::Unknown { why }) => {
                return Some(why.clone());
            }
            None => return Some("the Deployment was not looked at".to_owned()),
        };
        let kept = self.status.workload.clone().unwrap_or_default();
        let facing = Facing {
            workload,
            both,
            kept: &kept,
            now: self.world.now,
        };
        let prepared = next::prepare(&facing, self.weight_of_everyone(run.step));
        self.status.workload = Some(prepared.kept);
        self.workload_action = prepared.action;
        match prepared.pace {
            Pace::Ready => None,
            Pace::Waiting(why) => Some(match &self.world.failure {
                Some(failure) => format!("{why}; {}", failure.why()),
                None => why,
            }),
            Pace::Late(why) => {
                self.workload_action = None;
                let message = format!("not ready within {:?}: {why}", workload.progress_deadline);
                self.end_as(RunOutcome::RolledBack, message);
                None
            }
        }
    }

    /// Scales up what somebody else scaled down in the middle of a step.
    pub(super) fn keep_up(&mut self, stage: Stage) {
        let is_set = !matches!(stage, Stage::Entering | Stage::GoingBack | Stage::Over);
        let (Some(workload), Some(run)) = (&self.definition.workload, &self.status.run) else {
            return;
        };
        let Some(WorkloadSeen::Seen(both)) = self.world.workload.as_ref().filter(|_| is_set) else {
            return;
        };
        let facing = Facing {
            workload,
            both,
            kept: &self.status.workload.clone().unwrap_or_default(),
            now: self.world.now,
        };
        self.workload_action = next::keep_up(&facing, self.weight_of_everyone(run.step));
    }

    /// Ends the run where its Deployment is gone, or has another template than the run's.
    pub(super) fn has_another_template(&mut self, run: &Run) -> bool {
        let Some(workload) = &self.definition.workload else {
            return false;
        };
        let deployment = &workload.deployment;
        let (outcome, message) = match &self.world.workload {
            Some(WorkloadSeen::Missing { what }) => (RunOutcome::RolledBack, what.clone()),
            Some(WorkloadSeen::Seen(both))
                if run.version.as_ref() != Some(&both.wanted.version) =>
            {
                let version = &both.wanted.version;
                let copy = both.copy.as_ref();
                let how = match copy.is_some_and(|copy| copy.version == *version) {
                    true => "again, as the copy is",
                    false => "meanwhile",
                };
                let message = format!("Deployment {deployment} is {version} {how}");
                (RunOutcome::Superseded, message)
            }
            _ => return false,
        };
        self.end_as(outcome, message);
        true
    }

    fn weight_of_everyone(&self, step: usize) -> Percent {
        let weights = self.definition.weights_at(step);
        weights.get(EVERYONE).copied().unwrap_or_default()
    }
}
