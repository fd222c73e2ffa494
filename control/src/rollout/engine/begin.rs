//! When a run begins, and where.

use std::collections::BTreeMap;

use sluice_core::allocation::Percent;

use super::handing_back::handing_back;
use super::turn::{EventKind, Turn, is_anybody_there};
use crate::rollout::analysis::Memory;
use crate::rollout::definition::Definition;
use crate::rollout::resource::From;
use crate::rollout::status::{Phase, Run, RunOutcome, Stage, Status};
use crate::rollout::world::{SplitSeen, SplitState, means};

/// Whether a run is wanted that has not been: of another version, or because somebody said so.
pub(super) fn is_wanted(definition: &Definition, status: &Status) -> bool {
    if handing_back(definition, status).is_some() {
        return false;
    }
    let former = status.run.as_ref().map(|run| &run.version);
    let is_new = former != Some(&definition.version);
    let kept = status.workload.as_ref();
    let ending = status.run.as_ref().and_then(|run| run.ending.as_ref());
    let is_superseded = ending.is_some_and(|ending| ending.outcome == RunOutcome::Superseded);
    // A template that Git took away in the middle of its run may come back.
    let is_new = is_new || (kept.is_some() && is_superseded);
    // What the copy of a workload has, everybody has.
    let judged = kept.filter(|kept| !kept.is_unjudged);
    let promoted = judged.and_then(|kept| kept.promoted.as_ref());
    let is_new = is_new && (promoted.is_none() || promoted != definition.version.as_ref());
    status.is_start_wanted || (definition.version.is_some() && is_new)
}

impl Turn<'_> {
    /// Begins a run if one is wanted and nothing is in its way.
    pub(super) fn begin(&mut self) {
        let is_right = self.definition.mistakes.is_empty();
        if !is_right || !is_wanted(self.definition, &self.status) {
            return;
        }
        let seen = match &self.world.split {
            SplitSeen::Unknown { why } => {
                return self.wait(format!("the split cannot be read: {why}"));
            }
            SplitSeen::Missing { what } => return self.wait(format!("{what}; nothing is moved")),
            SplitSeen::Seen(seen) => seen.clone(),
        };
        let named = self
            .definition
            .plugin
            .as_deref()
            .zip(seen.plugin.as_deref());
        if named.is_some_and(|(named, plugin)| !means(named, plugin)) {
            // The host still looks at the plugin of the last run.
            return;
        }
        if let Some(ahead) = &self.world.peers.ahead {
            return self.wait(format!("Rollout {ahead} moves the same weights"));
        }
        match self.first_step(&seen.weights) {
            Ok(step) => self.start(step, &seen),
            Err(why) => self.say_once(EventKind::Blocked, Phase::Blocked, why),
        }
    }

    fn wait(&mut self, why: String) {
        self.say_once(EventKind::Waiting, Phase::Waiting, why);
    }

    /// The index of the step at which a run begins.
    fn first_step(&self, weights: &BTreeMap<String, Percent>) -> Result<usize, String> {
        let mut users = weights
            .iter()
            .filter(|(_, percent)| **percent > Percent::ZERO);
        let Some((audience, percent)) = users.next().filter(|_| !self.is_superseding()) else {
            return Ok(0);
        };
        if self.definition.from == From::Zero {
            let mend = match &self.definition.workload {
                Some(_) => format!("`sluice abort {}` takes the weight to 0", self.definition.split),
                None => "once the fallback is that version too, `sluice rollout finish` takes the weight to 0".to_owned(),
            };
            return Err(format!(
                "the challenger still has {percent} % of {audience}, who would be sent to an older version; {mend}"
            ));
        }
        let gives_as_much = |step: &usize| {
            let wanted = self.definition.weights_at(*step);
            let weight = |audience: &String| weights.get(audience).copied().unwrap_or_default();
            wanted
                .iter()
                .all(|(audience, percent)| weight(audience) <= *percent)
        };
        let mut steps = 0..self.definition.steps.len();
        steps.find(gives_as_much).ok_or_else(|| {
            format!("the challenger has {percent} % of {audience}, more than any step gives it")
        })
    }

    /// Whether there is no run because another version ended it: its users stay where they are
    /// until the first step, so that nobody is moved twice.
    fn is_superseding(&self) -> bool {
        let ending = self.status.run.as_ref().and_then(|run| run.ending.as_ref());
        ending.is_some_and(|ending| ending.outcome == RunOutcome::Superseded)
    }

    fn start(&mut self, step: usize, seen: &SplitState) {
        let number = self.status.run.as_ref().map_or(0, |run| run.number) + 1;
        let now = self.world.now;
        let straight = self.straight(number);
        let last = self.definition.steps.len().saturating_sub(1);
        let step = straight.map_or(step, |_| last);
        self.status.is_start_wanted = false;
        self.forget_waiting();
        self.status.run = Some(Run {
            number,
            version: self.definition.version.clone(),
            began: now,
            plugin: seen.plugin.clone(),
            split: self.definition.split.clone(),
            challenger: seen.challenger.clone(),
            step,
            stage: Stage::Entering,
            since: now,
            weights: seen.weights.clone(),
            wanted: seen.weights.clone(),
            is_to_redraw: self.definition.redraw && !is_anybody_there(&seen.weights),
            has_moved: false,
            pause: None,
            is_approved: false,
            is_ready: false,
            is_full: straight.is_some(),
            straight,
            converged: None,
            round: None,
            users: None,
            has_passed: false,
            analysis: Memory::default(),
            overridden: None,
            former_abort: seen.last_abort_id.clone(),
            edited: None,
            ending: None,
            ended: None,
        });
        self.status.phase = Phase::Progressing;
        let version = self.definition.version.as_deref().unwrap_or("a version");
        self.say(
            EventKind::Started,
            match straight {
                None => format!("run {number} of {version} begins"),
                Some(0) => format!(
                    "run {number} of {version} begins, straight at the last step: the copy was made of it"
                ),
                Some(run) => format!(
                    "run {number} of {version} begins, straight at the last step: run {run} brought it before"
                ),
            },
        );
    }

    /// The run that brought its version before, within the rollback window.
    fn straight(&self, number: u64) -> Option<u64> {
        let window = self.definition.workload.as_ref()?.rollback_window;
        let version = self.definition.version.as_ref()?;
        let kept = self.status.workload.as_ref()?;
        kept.promotions.within(version, number, window)
    }
}
