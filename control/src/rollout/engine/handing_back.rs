//! What hands everything back to one Deployment, as
//! [`crate::rollout::workload::handing_back`] says it.

use std::collections::BTreeMap;

use sluice_core::allocation::Percent;

use super::turn::{EventKind, Turn, is_anybody_there};
use crate::operations::set::Draw;
use crate::rollout::definition::Definition;
use crate::rollout::engine::Action;
use crate::rollout::status::{Phase, Status};
use crate::rollout::workload::handing::{HandingBack, HandingStage};
use crate::rollout::workload::handing_back::{Around, Handed, hand_back};
use crate::rollout::workload::next::Facing;
use crate::rollout::workload::promotions::Promotions;
use crate::rollout::workload::seen::{Routes, WorkloadSeen};
use crate::rollout::world::SplitSeen;

/// When the host is to look at what names the copy.
pub fn routes(definition: &Definition, status: &Status) -> Routes {
    let handing = handing_back(definition, status);
    match handing.map(|handing| handing.stage) {
        Some(HandingStage::Clearing) => Routes::Always,
        None if status.under_way().is_none() => Routes::BeforeARun,
        _ => Routes::WherePodsMayGo,
    }
}

/// How far everything is handed back, where somebody asked for it.
pub(super) fn handing_back<'s>(
    definition: &Definition,
    status: &'s Status,
) -> Option<&'s HandingBack> {
    let workload = definition.workload.as_ref()?;
    let kept = status.workload.as_ref()?;
    kept.handing_back_of(&workload.deployment)
}

impl Turn<'_> {
    pub(super) fn handing_back(&self) -> Option<&HandingBack> {
        handing_back(self.definition, &self.status)
    }

    /// Begins to hand everything back; asked again, goes on where it was stopped.
    pub(super) fn release(&mut self) -> Result<(), &'static str> {
        let Some(workload) = &self.definition.workload else {
            return Err("only a Rollout that follows a Deployment hands anything back");
        };
        let handing = self.handing_back();
        if handing.is_some_and(|handing| handing.stage != HandingStage::Stopped) {
            return Ok(());
        }
        let Some(WorkloadSeen::Seen(both)) = &self.world.workload else {
            return Err("its Deployments cannot be read just now");
        };
        let copy = both.copy.as_ref();
        let is_stopped = handing.is_some();
        match copy {
            _ if both.mistake.is_some() => {
                return Err("something is wrong with its Deployments: see its status");
            }
            None if !is_stopped => {
                return Err("its copy is not made yet: nothing is to be handed back");
            }
            Some(copy) if copy.version != both.wanted.version => {
                return Err(
                    "its template is not what was promoted: `sluice abort` the split, then retry",
                );
            }
            _ => {}
        }
        let split = match &self.world.split {
            SplitSeen::Seen(split) => Some(split),
            _ => return Err("its split cannot be read just now"),
        };
        let handing = HandingBack::of(&workload.deployment, split);
        let message = format!(
            "handing back begins: Deployment {} gets its pods",
            workload.deployment
        );
        self.status.is_finishing = false;
        self.status.is_start_wanted = false;
        self.forget_waiting();
        let kept = self.status.workload.get_or_insert_default();
        kept.handing_back = Some(handing);
        (kept.is_at_rest, kept.is_slow) = (false, false);
        self.say_once(EventKind::Waiting, Phase::Waiting, message);
        Ok(())
    }

    /// Takes back what was handed back, or is; unless that would give everyone a former version.
    pub(super) fn take_everything_back(&mut self) -> Result<(), &'static str> {
        let both = self
            .world
            .workload
            .as_ref()
            .and_then(|seen| seen.both().ok());
        let copy = both.and_then(|both| Some((both.copy.as_ref()?, &both.wanted)));
        let is_older = copy.is_some_and(|(copy, wanted)| copy.version != wanted.version);
        if let SplitSeen::Seen(split) = &self.world.split
            && is_older
            && is_anybody_there(&split.weights)
        {
            return Err(
                "everyone is at a newer version: let it be handed back, or `sluice abort` the split",
            );
        }
        self.forget_waiting();
        let has_copy = match &self.world.workload {
            Some(WorkloadSeen::Seen(both)) => both.copy.is_some(),
            _ => false,
        };
        if let Some(kept) = &mut self.status.workload {
            if !has_copy {
                // What was promoted before says nothing of what serves now.
                (kept.promoted, kept.promotions) = (None, Promotions::default());
            }
            kept.handing_back = None;
            (kept.is_at_rest, kept.is_slow) = (false, false);
        }
        let message = "nothing is handed back any more: the Rollout follows its Deployment again";
        self.say_once(EventKind::Waiting, Phase::Waiting, message);
        Ok(())
    }

    /// Goes on handing everything back; whether that is what is done.
    pub(super) fn hand_back(&mut self) -> bool {
        let Some(handing) = self.handing_back().cloned() else {
            return false;
        };
        let looked = (&self.definition.workload, &self.world.split);
        let (Some(workload), SplitSeen::Seen(split)) = looked else {
            return true;
        };
        let both = match self.world.workload.as_ref().map(WorkloadSeen::both) {
            Some(Ok(both)) => both,
            Some(Err(why)) => {
                let why = self.beside_failure(format!("handing back waits: {why}"));
                self.say_once(EventKind::Waiting, Phase::Waiting, why);
                return true;
            }
            None => return true,
        };
        if let Some(ahead) = &self.world.peers.ahead {
            let why = format!("handing back waits: Rollout {ahead} moves the same weights");
            self.say_once(EventKind::Waiting, Phase::Waiting, why);
            return true;
        }
        if handing.stage == HandingStage::Clearing && both.copy.is_none() && self.waits_for_keys() {
            return true;
        }
        let kept = self.status.workload.clone().unwrap_or_default();
        let facing = Facing {
            workload,
            both,
            kept: &kept,
            now: self.world.now,
        };
        let around = Around {
            split,
            is_followed: self.is_followed_by_all(),
            patience: self.definition.converge.within,
        };
        let mut handed = hand_back(&facing, &handing, &around);
        self.wait_for_clients(&mut handed);
        self.handed(handed);
        true
    }

    fn handed(&mut self, handed: Handed) {
        let Handed {
            handing,
            action,
            mut kept,
            is_to_take_back,
            says,
        } = handed;
        let stage = handing.as_ref().map(|handing| handing.stage);
        kept.handing_back = handing;
        self.status.workload = Some(kept);
        self.workload_action = action;
        self.status.is_finishing |= is_to_take_back;
        if says.is_empty() {
            return;
        }
        let (kind, phase) = match stage {
            Some(HandingStage::Done) => (EventKind::Passed, Phase::Released),
            _ => (EventKind::Waiting, Phase::Waiting),
        };
        let mut says = self.beside_failure(says);
        if let Some(why) = self.weights_failure() {
            says = format!("{says}; a weight is not set: {why}");
        }
        self.say_once(kind, phase, says);
    }
}

/// The next weight that is set while everyone goes to the Deployment.
pub(super) fn next_hundred(
    handing: Option<&HandingBack>,
    weights: &BTreeMap<String, Percent>,
) -> Option<Action> {
    handing.filter(|handing| handing.stage == HandingStage::Moving)?;
    let mut below = weights.iter();
    let (audience, _) = below.find(|(_, percent)| **percent < Percent::HUNDRED)?;
    Some(Action::Set {
        audience: audience.clone(),
        percent: Percent::HUNDRED,
        draw: Draw::Same,
    })
}
