//! The Services of clients that are not routed by a header, as [`crate::rollout::workload::services`]
//! says it: what is noted of them, what waits for them, and whose pods they are to have.

use sluice_core::plan::EVERYONE;

use super::turn::{EventKind, Turn};
use crate::rollout::status::{Phase, Stage, sentence};
use crate::rollout::workload::handing_back::Handed;
use crate::rollout::workload::next::{Action, Between, Rest};
use crate::rollout::workload::seen::WorkloadSeen;
use crate::rollout::workload::services::next::{
    Around, Going, in_use, select, still_set, trouble, unset, wrong,
};
use crate::rollout::workload::services::{Selected, Selection};
use crate::rollout::world::{Failure, SplitSeen};

impl Turn<'_> {
    /// Notes what is seen of them, before anything else is decided.
    pub(super) fn note_services(&mut self) {
        let Some(workload) = &self.definition.workload else {
            return;
        };
        if workload.services.is_empty() && self.status.workload.is_none() {
            return;
        }
        let seen = &self.world.services;
        let kept = self.status.workload.get_or_insert_default();
        let kept = &mut kept.services;
        kept.note(&workload.services, seen, self.world.now);
        if seen.is_empty() && !workload.services.is_empty() {
            // Nobody looked.
            return;
        }
        let failure = match &self.world.failure {
            Some(Failure::Unselected(why)) => Some(&**why),
            _ => None,
        };
        let trouble = trouble(kept, seen, failure).map(sentence);
        let is_new = trouble.is_some() && trouble != kept.trouble;
        kept.trouble.clone_from(&trouble);
        if let Some(trouble) = trouble.filter(|_| is_new) {
            self.note(trouble);
        }
    }

    /// Whose pods they are to have from now on, by the status that this turn leaves.
    pub(super) fn select_services(&mut self) -> Vec<Selection> {
        let Some(workload) = &self.definition.workload else {
            return Vec::new();
        };
        let both = match &self.world.workload {
            Some(WorkloadSeen::Seen(both)) => Some(both),
            // Nobody looks at Deployments while users go back; who was handed everything, nobody looks at.
            None if self.is_going_back() => None,
            None => return Vec::new(),
            Some(WorkloadSeen::Missing { .. } | WorkloadSeen::Unknown { .. }) => None,
        };
        let everyone = match &self.world.split {
            SplitSeen::Seen(split) => {
                Some(split.weights.get(EVERYONE).copied().unwrap_or_default())
            }
            SplitSeen::Unknown { .. } | SplitSeen::Missing { .. } => None,
        };
        let users = match self.status.under_way().map(|run| run.stage) {
            None => Going::Nowhere,
            Some(Stage::GoingBack) => Going::Back,
            Some(_) => Going::Forward,
        };
        let handing = self.handing_back().map(|handing| handing.stage);
        let Some(kept) = &mut self.status.workload else {
            return Vec::new();
        };
        let around = Around {
            workload,
            both,
            everyone,
            users,
            handing,
            serving: kept.serving,
        };
        select(&mut kept.services, &self.world.services, &around)
    }

    fn is_going_back(&self) -> bool {
        let run = self.status.under_way();
        run.is_some_and(|run| run.stage == Stage::GoingBack)
    }

    /// Why the last step may not end for want of them.
    pub(super) fn services_wrong(&self) -> Option<String> {
        let kept = self.status.workload.as_ref()?;
        wrong(&kept.services).map(str::to_owned)
    }

    /// Sets those again that somebody set back, where a person asks for it; whether any was left so.
    pub(super) fn try_services_again(&mut self) -> bool {
        let kept = self.status.workload.as_mut();
        kept.is_some_and(|kept| kept.services.try_again())
    }

    /// Why a step may not begin for want of them.
    pub(super) fn services_unset(&self) -> Option<String> {
        // A run that goes back waits for nobody.
        let is_ending = self.status.phase == Phase::RollingBack;
        let kept = self.status.workload.as_ref().filter(|_| !is_ending)?;
        unset(&kept.services)
    }

    /// Lets what is done between two runs wait for them: a run, until each has the pods of one variant;
    /// pods that go, until the clients of the active one are elsewhere.
    pub(super) fn wait_for_services(&self, rest: &mut Rest, between: &Between<'_>) {
        let Some(workload) = &self.definition.workload else {
            return;
        };
        let services = &rest.kept.services;
        let leaves = match &rest.action {
            Some(Action::Scale { replicas: 0 }) => Some(Selected::Challenger),
            Some(Action::Promote { .. }) if between.succeeded.is_some() && !between.is_empty => {
                Some(Selected::Fallback)
            }
            _ => None,
        };
        let (seen, now) = (&self.world.services, self.world.now);
        let in_use = |leaves| in_use(services, seen, leaves, workload.drain, now);
        if let Some(why) = leaves.and_then(in_use) {
            rest.action = None;
            rest.says = Some(why);
            return;
        }
        let Some(why) = unset(services) else {
            return;
        };
        let is_wrong = services.trouble.is_some();
        if rest.may_begin && between.is_empty {
            rest.may_begin = false;
            rest.says = Some(why);
            rest.kept.is_slow = is_wrong;
        } else if rest.kept.is_at_rest {
            rest.kept.is_at_rest = false;
            rest.says = rest.says.take().or(Some(why));
            rest.kept.is_slow = is_wrong;
        }
    }

    /// Lets the copy stay until the clients of the active one have left it.
    pub(super) fn wait_for_clients(&self, handed: &mut Handed) {
        let Some(workload) = &self.definition.workload else {
            return;
        };
        if handed.action != Some(Action::DeleteCopy) {
            return;
        }
        let (services, seen) = (&handed.kept.services, &self.world.services);
        let (drain, now) = (workload.drain, self.world.now);
        if let Some(why) = in_use(services, seen, Selected::Fallback, drain, now) {
            handed.action = None;
            handed.says = why;
        }
    }

    /// Whether what is handed back waits until they have every pod again.
    pub(super) fn waits_for_keys(&mut self) -> bool {
        let names = self
            .definition
            .workload
            .as_ref()
            .map(|workload| &workload.services);
        if names.is_none_or(|names| names.is_empty()) {
            return false;
        }
        let Some(why) = still_set(&self.world.services) else {
            return false;
        };
        let failure = self.status.workload.as_ref();
        let failure = failure.and_then(|kept| kept.services.trouble.clone());
        let says = match failure {
            Some(failure) => format!("{why}; {failure}"),
            None => why,
        };
        self.say_once(EventKind::Waiting, Phase::Waiting, says);
        true
    }
}
