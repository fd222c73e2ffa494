//! What a run and the time between two runs need of a workload's Deployments, as
//! [`crate::rollout::workload::next`] says it.

use sluice_core::allocation::Percent;
use sluice_core::plan::EVERYONE;

use super::begin::is_wanted;
use super::turn::{EventKind, Turn, is_anybody_there};
use crate::rollout::status::{Phase, Run, RunOutcome, Stage};
use crate::rollout::workload::kept::{self, Kept, Users};
use crate::rollout::workload::next::{self, Between, Facing, Pace};
use crate::rollout::workload::seen::{Both, WorkloadSeen};
use crate::rollout::world::{Failure, ProxiesSeen, SplitSeen};

impl Turn<'_> {
    /// Notes which version the copy has, before anything else is decided.
    pub(super) fn note_workload(&mut self) {
        let (Some(workload), Some(WorkloadSeen::Seen(both))) =
            (&self.definition.workload, &self.world.workload)
        else {
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
        let is_under_way = self.status.under_way().is_some();
        let run = self.status.run.as_ref().map_or(0, |run| run.number);
        let kept = self.status.workload.get_or_insert_default();
        kept.note_deployment(&workload.deployment, both.uid.as_deref());
        // What is handed back nobody waits for.
        let is_ours = kept.handing_back.is_none();
        let wanted = is_ours.then(|| both.wanted.version.clone());
        if kept.wanted != wanted {
            kept.services.try_again();
        }
        kept.wanted = wanted;
        kept.note_copy(both.copy.as_ref(), users);
        kept.come_back_to(self.world.now);
        let is_serving = !kept.is_unjudged && (is_under_way || users == Users::AtCopy);
        if let Some(copy) = both.copy.as_ref().filter(|_| is_serving) {
            let run = run.saturating_sub(u64::from(is_under_way));
            kept.promotions.note_first(&copy.version, run);
        }
    }

    /// Forgets since when pods are waited for: what comes now waits for others.
    pub(super) fn forget_waiting(&mut self) {
        if let Some(kept) = &mut self.status.workload {
            kept.waiting = None;
            kept.ready = None;
            kept.scaled = None;
        }
    }

    /// Sees to the Deployments between two runs; whether a run may begin.
    pub(super) fn rest(&mut self) -> bool {
        let Some(workload) = &self.definition.workload else {
            return true;
        };
        let both = match self.world.workload.as_ref().map(WorkloadSeen::both) {
            Some(Ok(both)) => both,
            Some(Err(why)) => {
                self.say_resting(why.to_owned());
                let kept = self.status.workload.get_or_insert_default();
                (kept.is_slow, kept.is_at_rest) = (true, false);
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
            stale: match &self.world.proxies {
                ProxiesSeen::Seen { stale, .. } => *stale,
                _ => 0,
            },
            patience: self.definition.converge.within,
            everyone,
            ended,
            succeeded: succeeded.and_then(|run| run.version.as_deref()),
            failed: run
                .filter(|run| !run.has_succeeded())
                .and_then(|run| run.version.as_deref()),
            run: run.map_or(0, |run| run.number),
            window: workload.rollback_window,
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
        self.wait_for_services(&mut rest, &between);
        if rest.kept.is_at_rest && !kept.is_at_rest && rest.says.is_none() {
            self.say_at_rest(both, &workload.copy());
        }
        let failure = self.world.failure.as_ref();
        let failure = failure.filter(|failure| !matches!(failure, Failure::Unselected(_)));
        if let (Some(next::Action::Remember), Some(failure)) = (&rest.action, failure) {
            // It is said, and tried again with the next look.
            let version = kept.promoted.as_deref().unwrap_or_default();
            let says = format!(
                "Deployment {} serves everyone with {version}",
                workload.copy()
            );
            let says = format!("{says}; {}", failure.why());
            rest.warns = (!self.status.phase.is_failure()).then_some(says);
            rest.action = None;
        }
        if let Some(says) = rest.says.take() {
            self.say_resting(says);
        }
        if let Some(warns) = rest.warns.take() {
            self.say_once(EventKind::Blocked, self.status.phase, warns);
        }
        self.status.is_finishing |= rest.is_to_finish;
        self.status.workload = Some(rest.kept);
        self.workload_action = rest.action;
        rest.may_begin
    }

    /// Whether every proxy runs the weights that there are.
    pub(super) fn is_followed_by_all(&self) -> bool {
        match &self.world.proxies {
            ProxiesSeen::Nobody => true,
            ProxiesSeen::Seen {
                converged, total, ..
            } => converged >= total,
            ProxiesSeen::NotAsked | ProxiesSeen::Unknown { .. } => false,
        }
    }

    /// Says what is waited for between two runs; how a run failed is not said over, but what holds back
    /// the next one is said beside it.
    fn say_resting(&mut self, why: String) {
        let phase = match self.status.phase {
            Phase::RolledBack | Phase::Aborted => {
                if is_wanted(self.definition, &self.status) {
                    let version = self.definition.version.as_deref().unwrap_or("a version");
                    let ending = self.status.run.as_ref().and_then(|run| run.ending.as_ref());
                    let ending = ending.map_or("", |ending| &*ending.message);
                    let says = format!("{version} waits: {why}; before: {ending}");
                    let says = self.beside_failure(says);
                    self.say_once(EventKind::Waiting, self.status.phase, says);
                }
                return;
            }
            Phase::Succeeded => Phase::Succeeded,
            _ => Phase::Waiting,
        };
        let why = self.beside_failure(why);
        self.say_once(EventKind::Waiting, phase, why);
    }

    fn say_at_rest(&mut self, both: &Both, copy: &str) {
        let phase = match self.status.phase {
            Phase::RolledBack | Phase::Aborted => {
                let ending = self.status.run.as_ref().and_then(|run| run.ending.as_ref());
                if let Some(ending) = ending {
                    self.status.message.clone_from(&ending.message);
                }
                return;
            }
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
        let both = match self.world.workload.as_ref().map(WorkloadSeen::both) {
            Some(Ok(both)) => both,
            Some(Err(why)) => return Some(why.to_owned()),
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
            Pace::Waiting(why) => Some(self.beside_failure(why)),
            Pace::Late(why) => {
                self.workload_action = None;
                let message = format!("not ready within {:?}: {why}", workload.progress_deadline);
                self.end_as(RunOutcome::RolledBack, self.beside_failure(message));
                None
            }
        }
    }

    /// Sees to the pods of a step that has its weight; whether they are so bad that the run ends, or it
    /// waits for a copy that is made again.
    pub(super) fn keep_up(&mut self, stage: Stage) -> bool {
        let Some(workload) = &self.definition.workload else {
            return false;
        };
        let Some(WorkloadSeen::Seen(both)) = self.world.workload.as_ref() else {
            return false;
        };
        let now = self.world.now;
        let mut kept = self.status.workload.clone().unwrap_or_default();
        let mut ends = self.are_dead(both, &mut kept);
        if ends.is_none() && self.waits_for_copy(both, &mut kept) {
            self.status.workload = Some(kept);
            return true;
        }
        if let Some(weight) = self.weight_kept_up(stage) {
            let facing = Facing {
                workload,
                both,
                kept: &kept,
                now,
            };
            let kept_up = next::keep_up(&facing, weight);
            let former = std::mem::replace(&mut kept, kept_up.kept);
            self.say_given_up(&former, &kept);
            self.workload_action = kept_up.action;
            if let Pace::Late(why) = kept_up.pace {
                let late = format!("not ready within {:?}: {why}", workload.progress_deadline);
                ends = ends.or(Some(late));
            }
        }
        self.status.workload = Some(kept);
        let Some(why) = ends else {
            return false;
        };
        self.workload_action = None;
        self.end_as(RunOutcome::RolledBack, self.beside_failure(why));
        true
    }

    /// The weight of everybody whose pods are kept up: of the step that has it, and what there is while
    /// the next one is held back.
    fn weight_kept_up(&self, stage: Stage) -> Option<Percent> {
        let run = self.status.run.as_ref()?;
        let is_held = run.pause.is_some() || self.held_back().is_some();
        match stage {
            Stage::Entering if run.has_moved && is_held => {
                Some(run.weights.get(EVERYONE).copied().unwrap_or_default())
            }
            Stage::Entering => None,
            _ => Some(self.weight_of_everyone(run.step)),
        }
    }

    /// Says once a hold that somebody takes away what its step scaled.
    fn say_given_up(&mut self, former: &Kept, kept: &Kept) {
        let said = self.definition.workload.as_ref();
        let said = said.and_then(|workload| next::given_up(workload, kept));
        if let Some(said) = said.filter(|_| !former.is_given_up()) {
            self.say(EventKind::Waiting, said);
        }
    }

    /// Why users go back whose pods are all gone, for longer than a pod takes to start again.
    pub(super) fn are_dead(&self, both: &Both, kept: &mut Kept) -> Option<String> {
        let workload = self.definition.workload.as_ref()?;
        let has_users = match &self.world.split {
            SplitSeen::Seen(split) => is_anybody_there(&split.weights),
            _ => false,
        };
        if !has_users {
            kept.dead = None;
            return None;
        }
        kept.is_dead(&both.wanted, self.world.now).then(|| {
            let trouble = both.wanted.trouble.as_ref();
            let trouble = trouble.map_or_else(String::new, |trouble| format!(": {trouble}"));
            let (name, length) = (&workload.deployment, kept::NONE_READY);
            format!("no pod of Deployment {name} has been ready for {length:?}{trouble}")
        })
    }

    /// Why the last step may not end: not all of its pods are ready.
    pub(super) fn is_short_of_pods(&self) -> Option<String> {
        let workload = self.definition.workload.as_ref()?;
        let is_ready = |kept: &Kept| kept.ready.is_some();
        let is_short = !self.status.workload.as_ref().is_some_and(is_ready);
        let deployment = &workload.deployment;
        is_short.then(|| format!("not all pods of Deployment {deployment} are ready"))
    }

    /// What is to be done about the copy's autoscaler, when nothing else is.
    pub(super) fn autoscaler_action(&self) -> Option<next::Action> {
        let both = self.world.workload.as_ref()?.both().ok()?;
        // What is not ours is left alone, with what scales it.
        let work = both.autoscaler.filter(|_| !both.is_foreign);
        work.map(next::Action::Autoscaler)
    }

    /// What is said, with why the last action failed.
    pub(super) fn beside_failure(&self, why: String) -> String {
        match &self.world.failure {
            Some(Failure::Untended(failure)) => format!("{why}; {failure}"),
            _ => why,
        }
    }

    /// Ends the run where its Deployment is gone, is wrong under its users, or has another template than
    /// the run's.
    pub(super) fn has_another_template(&mut self, run: &Run) -> bool {
        let (outcome, message) = match &self.world.workload {
            Some(WorkloadSeen::Missing { what }) => (RunOutcome::RolledBack, what.clone()),
            Some(WorkloadSeen::Seen(both))
                if run.version.as_ref() != Some(&both.wanted.version) =>
            {
                (RunOutcome::Superseded, self.meanwhile(both))
            }
            Some(WorkloadSeen::Seen(both)) => match &both.mistake {
                Some(mistake) if run.has_moved => (RunOutcome::RolledBack, mistake.clone()),
                _ => return false,
            },
            _ => return false,
        };
        self.end_as(outcome, message);
        true
    }

    /// What is said where the Deployment has another template than a run's.
    pub(super) fn meanwhile(&self, both: &Both) -> String {
        let workload = self.definition.workload.as_ref();
        let deployment = workload.map_or("", |workload| &*workload.deployment);
        let version = &both.wanted.version;
        let copy = both.copy.as_ref();
        let how = match copy.is_some_and(|copy| copy.version == *version) {
            true => "again, as the copy is",
            false => "meanwhile",
        };
        format!("Deployment {deployment} is {version} {how}")
    }

    fn weight_of_everyone(&self, step: usize) -> Percent {
        let weights = self.definition.weights_at(step);
        weights.get(EVERYONE).copied().unwrap_or_default()
    }
}
