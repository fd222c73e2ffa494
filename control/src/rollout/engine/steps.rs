//! How a run goes through its steps: enter, move, converge, hold, approve.

use std::time::Duration;

use jiff::Timestamp;

use super::turn::{EventKind, Turn, after};
use super::wants::hold_end;
use crate::rollout::analysis::Verdict;
use crate::rollout::definition::Step;
use crate::rollout::resource::Unconverged;
use crate::rollout::status::{Overridden, PauseReason, Phase, Run, RunOutcome, RunUsers, Stage};
use crate::rollout::world::{Failure, Forward, ProxiesSeen, SplitSeen};

/// How often it is kept at least whom a challenger has reached. Chosen: as often as a round is made.
const USERS_NOTED_EVERY: Duration = Duration::from_secs(30);

impl Turn<'_> {
    pub(super) fn go_on(&mut self, stage: Stage) {
        if let Some(mistake) = self.definition.mistakes.first().cloned() {
            return self.stand_still(&mistake);
        }
        let Some((run, step)) = self.current() else {
            return self.enter_last();
        };
        if run.pause.is_some() {
            return self.stay_paused(&run);
        }
        let is_set = matches!(stage, Stage::Converging | Stage::Holding | Stage::Approval);
        if is_set && let SplitSeen::Unknown { why } = &self.world.split {
            let message = format!("the split cannot be read, and nothing is watched: {why}");
            return self.say_once(EventKind::Waiting, Phase::Progressing, message);
        }
        if is_set && self.definition.weights_at(run.step) != run.wanted {
            // The spec gives the step another weight than it had.
            return self.go_to(Stage::Entering);
        }
        match stage {
            Stage::Entering => self.enter(&run, &step),
            Stage::Moving => self.move_weights(),
            Stage::Converging => self.converge(&run),
            Stage::Holding => self.hold(&run, &step),
            Stage::Approval if run.is_approved || run.is_full => {
                self.finish_step(&run, format!("step {} passed, approved", run.step + 1));
            }
            Stage::Approval | Stage::GoingBack | Stage::Over => {}
        }
    }

    /// The spec has fewer steps than it had: the run goes on at its last one.
    fn enter_last(&mut self) {
        let last = self.definition.steps.len().saturating_sub(1);
        if let Some(run) = &mut self.status.run {
            run.step = last;
        }
        self.go_to(Stage::Entering);
    }

    fn current(&self) -> Option<(Run, Step)> {
        let run = self.status.run.clone()?;
        let step = self.definition.steps.get(run.step).cloned()?;
        Some((run, step))
    }

    /// Keeps what a round said.
    pub(super) fn note_round(&mut self) {
        if let (Some(round), Some(run)) = (&self.world.round, &mut self.status.run) {
            run.round = Some(self.world.now);
            run.has_passed = round.verdict == Verdict::Pass;
            run.analysis = round.memory.clone();
            for check in &round.anew {
                self.note(format!(
                    "check {check} is another than it was: what was measured by the former one no longer counts"
                ));
            }
        }
    }

    /// Keeps whom the challenger has reached: with each round, and else from time to time, since what
    /// is kept is written.
    pub(super) fn note_users(&mut self) {
        let (Some(run), Some(seen)) = (&mut self.status.run, self.world.reached) else {
            return;
        };
        let Some(step) = self.definition.steps.get(run.step) else {
            return;
        };
        let is_held = matches!(run.stage, Stage::Holding | Stage::Approval);
        let last = run.users.as_ref().map(|users| users.at);
        let now = self.world.now;
        // A clock that was ahead does not hold this up.
        let is_due = last.is_none_or(|last| last > now || now >= after(last, USERS_NOTED_EVERY));
        if is_held && (is_due || self.world.round.is_some()) {
            run.users = Some(RunUsers {
                audience: step.audience.clone(),
                at: now,
                reached: seen.users,
                failed: seen.failed,
                share: seen.share(),
                of: Some(seen.of),
            });
        }
    }

    /// A run whose spec became wrong goes nowhere; what ends a run still does.
    fn stand_still(&mut self, mistake: &str) {
        let run = self.status.run.as_ref();
        if run.is_some_and(|run| run.pause.is_none()) {
            let message = format!("the spec is wrong, and the run stands still: {mistake}");
            self.pause(PauseReason::InvalidSpec, message);
        }
    }

    /// A run that waits for its proxies, or for a spec that is right, goes on by itself.
    fn stay_paused(&mut self, run: &Run) {
        let why = match run.pause.as_ref().map(|pause| pause.reason) {
            Some(PauseReason::NotConverged) if self.is_converged() => "the proxies follow",
            Some(PauseReason::InvalidSpec) => "the spec is right again",
            _ => return,
        };
        if let Some(run) = &mut self.status.run {
            run.pause = None;
        }
        self.forget_waiting();
        self.status.phase = Phase::Progressing;
        self.say(EventKind::Resumed, format!("resumed: {why}"));
    }

    /// Waits for whatever holds steps forward, then says which weights are wanted.
    fn enter(&mut self, run: &Run, step: &Step) {
        if self.world.forward == Forward::Asking {
            return;
        }
        let held = self.held_back();
        if held.is_some() && !run.has_moved {
            // Nobody waits for pods meanwhile.
            self.forget_waiting();
        }
        let why = held
            .or_else(|| self.unprepared(run))
            .or_else(|| self.services_unset());
        if let Some(why) = why {
            let message = format!("step {} waits: {why}", run.step + 1);
            return self.say_once(EventKind::Waiting, Phase::Progressing, message);
        }
        if self.status.phase == Phase::RollingBack {
            // Its pods were not ready in time.
            return;
        }
        if let Some(run) = &mut self.status.run {
            run.wanted = self.definition.weights_at(run.step);
            run.has_moved = true;
            run.is_approved = false;
            run.converged = None;
            run.round = None;
            run.users = None;
            run.has_passed = false;
            run.is_ready = false;
            if let Forward::Overridden(by) = &self.world.forward {
                let (step, by) = (run.step, by.clone());
                run.overridden = Some(Overridden { step, by });
            }
        }
        self.go_to(Stage::Moving);
        let of = self.definition.steps.len();
        let Step {
            weight, audience, ..
        } = step;
        let overridden = match &self.world.forward {
            Forward::Overridden(by) => format!("; {by}"),
            Forward::Open | Forward::Closed(_) | Forward::Asking => String::new(),
        };
        let number = run.step + 1;
        let message = format!("step {number} of {of}: {weight} % of {audience}{overridden}");
        self.say(EventKind::Stepped, message);
    }

    /// What a step waits for before it begins.
    pub(super) fn held_back(&self) -> Option<String> {
        match (&self.world.split, &self.world.forward) {
            (SplitSeen::Unknown { why }, _) => Some(format!("the split cannot be read: {why}")),
            (SplitSeen::Missing { what }, _) => Some(what.clone()),
            (SplitSeen::Seen(_), Forward::Closed(why)) => Some(why.clone()),
            (SplitSeen::Seen(_), _) => {
                let behind = self.world.peers.behind.as_ref()?;
                Some(format!("Rollout {behind} of the group is behind"))
            }
        }
    }

    /// Waits until the weights are in force in the store.
    fn move_weights(&mut self) {
        match &self.world.failure {
            Some(Failure::Lasting(why)) => {
                let message = format!("a weight could not be set: {why}");
                return self.pause(PauseReason::Refused, message);
            }
            Some(Failure::Passing(why)) => {
                let message = format!("a weight is not set yet: {why}");
                self.say_once(EventKind::Waiting, Phase::Progressing, message);
            }
            Some(Failure::Untended(_) | Failure::Unselected(_)) | None => {}
        }
        let SplitSeen::Seen(seen) = &self.world.split else {
            return;
        };
        let Some(run) = &mut self.status.run else {
            return;
        };
        let is_there = run.wanted.iter().all(|(audience, percent)| {
            seen.weights.get(audience).copied().unwrap_or_default() == *percent
        });
        if is_there {
            run.weights = run.wanted.clone();
            run.is_to_redraw = false;
            self.go_to(Stage::Converging);
        }
    }

    fn is_converged(&self) -> bool {
        match &self.world.proxies {
            ProxiesSeen::Nobody => true,
            ProxiesSeen::Seen {
                converged, total, ..
            } => {
                let share = *converged as f64 / (*total).max(1) as f64;
                *total == 0 || share >= self.definition.converge.at_least
            }
            ProxiesSeen::NotAsked | ProxiesSeen::Unknown { .. } => false,
        }
    }

    fn converge(&mut self, run: &Run) {
        if self.is_converged() {
            return self.begin_hold();
        }
        let why = match &self.world.proxies {
            ProxiesSeen::Seen {
                converged,
                total,
                lagging,
                ..
            } => format!("{converged} of {total} proxies follow; not yet: {lagging}"),
            ProxiesSeen::Unknown { why } => format!("whether proxies follow is not known: {why}"),
            ProxiesSeen::NotAsked | ProxiesSeen::Nobody => return,
        };
        if self.world.now < after(run.since, self.definition.converge.within) {
            let message = format!("step {}: {why}", run.step + 1);
            return self.say_once(EventKind::Waiting, Phase::Progressing, message);
        }
        match self.definition.converge.otherwise {
            Unconverged::Pause => self.pause(PauseReason::NotConverged, why),
            Unconverged::Abort => self.end_as(RunOutcome::RolledBack, why),
            Unconverged::Proceed => self.begin_hold(),
        }
    }

    fn begin_hold(&mut self) {
        let message = match &self.world.proxies {
            ProxiesSeen::Seen {
                converged, total, ..
            } => format!("{converged} of {total} proxies follow"),
            _ => "no proxy can be asked; the weights count as followed".to_owned(),
        };
        if let Some(run) = &mut self.status.run {
            run.converged = Some(self.world.now);
        }
        self.go_to(Stage::Holding);
        self.say(EventKind::Converged, message);
    }

    fn hold(&mut self, run: &Run, step: &Step) {
        let number = run.step + 1;
        if run.is_full {
            return self.finish_step(run, format!("step {number} passed: everything is skipped"));
        }
        let end = hold_end(self.definition, run);
        if self.world.now < end {
            return;
        }
        if let Some(why) = self.unpassed(run, end) {
            let message = format!("step {number} is held: {why}");
            return self.say_once(EventKind::Waiting, Phase::Progressing, message);
        }
        if step.needs_approval && !run.is_approved {
            self.go_to(Stage::Approval);
            let message = format!("step {number} waits for `sluice rollout approve`");
            return self.say(EventKind::ApprovalWanted, message);
        }
        self.finish_step(run, format!("step {number} passed"));
    }

    /// Ends the step, if it is the last one only when the gates let it.
    fn finish_step(&mut self, run: &Run, message: String) {
        let is_last = run.step + 1 >= self.definition.steps.len();
        if !is_last {
            return self.pass(message);
        }
        if let Some(run) = &mut self.status.run {
            run.is_ready = true;
        }
        let unready = self.world.peers.unready.as_ref();
        let short = self.is_short_of_pods().or_else(|| self.services_wrong());
        let why = match &self.world.forward {
            _ if short.is_some() => short,
            Forward::Asking => return,
            Forward::Closed(why) => Some(why.clone()),
            Forward::Open | Forward::Overridden(_) => {
                unready.map(|unready| format!("Rollout {unready} of the group is not at its end"))
            }
        };
        match why {
            Some(why) => {
                let message = format!("{message}; the run waits: {why}");
                self.say_once(EventKind::Waiting, Phase::Progressing, message);
            }
            None => self.pass(message),
        }
    }

    /// Why the analysis does not let the step end.
    fn unpassed(&self, run: &Run, end: Timestamp) -> Option<String> {
        let is_watched = self.definition.is_watched(run.step);
        if !is_watched {
            return None;
        }
        let round = self.world.round.as_ref();
        if let Some(Verdict::Hold { reasons }) = round.map(|round| &round.verdict) {
            return Some(reasons.join("; "));
        }
        let is_recent = run.round.is_some_and(|round| round >= end);
        if is_recent && run.has_passed {
            return None;
        }
        // Between two rounds, what the last one said stays.
        let held = self.status.message.split_once(" is held: ");
        Some(
            held.map_or("the analysis has not passed yet", |(_, why)| why)
                .to_owned(),
        )
    }

    /// The step is over: the next one, or the end.
    pub(super) fn pass(&mut self, message: String) {
        self.say(EventKind::Passed, message);
        let steps = self.definition.steps.len();
        let Some(run) = &mut self.status.run else {
            return;
        };
        run.pause = None;
        self.status.phase = Phase::Progressing;
        if run.step + 1 < steps {
            run.step += 1;
            return self.go_to(Stage::Entering);
        }
        let version = run.version.as_deref().unwrap_or("the challenger");
        let last = self.definition.steps.last();
        let message = last.map_or_else(String::new, |last| {
            format!("{version} has {} % of {}", last.weight, last.audience)
        });
        self.over(RunOutcome::Succeeded, message);
    }
}
