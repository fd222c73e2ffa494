//! What ends a run before its last step: another version, an abort, a guard, the group, somebody
//! else's weight, a failed check. None of it waits for a tick, a window or a gate.

use std::time::Duration;

use sluice_core::allocation::Percent;

use super::turn::{EventKind, Turn, after, is_anybody_there};
use crate::rollout::analysis::Verdict;
use crate::rollout::resource::OnHandEdit;
use crate::rollout::status::{PauseReason, Phase, Run, RunOutcome};
use crate::rollout::world::{ProxiesSeen, SplitSeen, SplitState};

/// How long an abort may take from its zeros to its note. Chosen: ten times what a disk takes.
const NOTED_WITHIN: Duration = Duration::from_millis(500);

impl Turn<'_> {
    /// Ends or pauses the run if anything says so; whether something did.
    pub(super) fn ends(&mut self) -> bool {
        let Some(run) = self.status.run.clone() else {
            return false;
        };
        self.note_round();
        self.note_users();
        match &self.world.split {
            SplitSeen::Seen(seen) if self.was_aborted(&run, seen) => return true,
            SplitSeen::Missing { what } => {
                self.end_as(RunOutcome::RolledBack, what.clone());
                return true;
            }
            SplitSeen::Seen(_) | SplitSeen::Unknown { .. } => {}
        }
        if let Some(why) = self.failed(&run).or_else(|| self.moves_another(&run)) {
            self.end_as(RunOutcome::RolledBack, why);
            return true;
        }
        if self.has_another_template(&run) {
            return true;
        }
        let seen = match &self.world.split {
            SplitSeen::Seen(seen) => Some(seen),
            _ => None,
        };
        seen.is_some_and(|seen| self.was_edited(&run, seen)) || self.has_another_version(&run)
    }

    /// A spec that names other weights in the middle of a run would leave this run's users.
    fn moves_another(&self, run: &Run) -> Option<String> {
        let definition = self.definition;
        let challenger = definition.challenger.as_ref();
        if run.is_of_another_plugin(definition.plugin.as_deref()) {
            return Some("the spec names another plugin than the run's".to_owned());
        }
        let is_same = definition.split == run.split
            && challenger.is_none_or(|challenger| *challenger == run.challenger)
            && definition.audiences().into_iter().eq(run.weights.keys());
        let other = "the spec names another split, challenger or audience than the run moves";
        (!is_same).then(|| other.to_owned())
    }

    /// Somebody aborted the split: the run is over, and nobody resumes it.
    fn was_aborted(&mut self, run: &Run, seen: &SplitState) -> bool {
        let Some(abort) = run.abort_since(seen) else {
            return false;
        };
        let message = format!("aborted by {abort}");
        if is_anybody_there(&seen.weights) {
            // Whoever set a weight after the abort, this run had its part in it.
            self.end_as(RunOutcome::Aborted, message);
        } else {
            self.over(RunOutcome::Aborted, message);
        }
        true
    }

    fn has_another_version(&mut self, run: &Run) -> bool {
        let Some(version) = &self.definition.version else {
            return false;
        };
        if run.version.as_ref() == Some(version) {
            return false;
        }
        let former = run.version.as_deref().unwrap_or("a version");
        let message = format!("{version} came before {former} was at its end");
        self.over(RunOutcome::Superseded, message);
        true
    }

    /// A weight that is neither what the run last saw nor what it wants is somebody else's.
    fn was_edited(&mut self, run: &Run, seen: &SplitState) -> bool {
        if run.is_edited() {
            return false;
        }
        let is_known = |audience: &str, percent: Percent| {
            let mut known = [&run.weights, &run.wanted].into_iter();
            known.any(|known| known.get(audience).copied().unwrap_or_default() == percent)
        };
        let mut weights = seen.weights.iter();
        let Some((audience, percent)) =
            weights.find(|(audience, percent)| !is_known(audience, **percent))
        else {
            return false;
        };
        if self.may_be_half_an_abort(run, seen) {
            return true;
        }
        let by = seen.last_change.as_deref().unwrap_or("somebody unknown");
        let message = format!("the challenger has {percent} % of {audience}, set by {by}");
        match self.definition.on_hand_edit {
            OnHandEdit::Pause => self.pause(PauseReason::HandEdit, message),
            OnHandEdit::Abort => self.end_as(RunOutcome::RolledBack, message),
        }
        true
    }

    /// An abort is written before it is noted; whether one may be under way.
    fn may_be_half_an_abort(&mut self, run: &Run, seen: &SplitState) -> bool {
        if is_anybody_there(&seen.weights) {
            return false;
        }
        let now = self.world.now;
        let since = run.edited.unwrap_or(now);
        if let Some(run) = &mut self.status.run {
            run.edited = Some(since);
        }
        now < after(since, NOTED_WITHIN)
    }

    /// Why the challenger is worse than allowed, or the group's.
    fn failed(&self, run: &Run) -> Option<String> {
        // Before its first weight, a trip is of an earlier one.
        let has_users = match &self.world.split {
            SplitSeen::Seen(seen) => is_anybody_there(&seen.weights),
            _ => run.has_moved,
        };
        let tripped = self.world.tripped.as_ref();
        if let Some(tripped) = tripped.filter(|_| run.has_moved || has_users) {
            return Some(format!("the guard took the challenger out: {tripped}"));
        }
        if let Some(failed) = &self.world.peers.failed {
            return Some(format!("Rollout {failed} of the group failed"));
        }
        match self.world.round.as_ref().map(|round| &round.verdict) {
            Some(Verdict::Fail { reasons, .. }) => Some(reasons.join("; ")),
            _ => None,
        }
    }

    /// Waits until the users are back, and says who has not followed.
    pub(super) fn go_back(&mut self) {
        let Some((since, ending)) = self.status.run.as_ref().and_then(|run| {
            let ending = run.ending.clone()?;
            Some((run.since, ending))
        }) else {
            return;
        };
        let is_back = match &self.world.split {
            SplitSeen::Seen(seen) => !is_anybody_there(&seen.weights),
            // What is gone has no users; the zeros were written once, in case it comes back.
            SplitSeen::Missing { what } => {
                let message = format!("{}; {what}", ending.message);
                return self.over(ending.outcome, message);
            }
            SplitSeen::Unknown { .. } => false,
        };
        if !is_back {
            return self.say_not_back(&ending.message);
        }
        let is_patient = self.world.now < after(since, self.definition.converge.within);
        let why = match &self.world.proxies {
            // The host looks at them before the run ends.
            ProxiesSeen::NotAsked => return,
            ProxiesSeen::Nobody => None,
            ProxiesSeen::Unknown { why } => {
                Some(format!("whether proxies follow is not known: {why}"))
            }
            ProxiesSeen::Seen {
                converged, total, ..
            } if converged >= total => None,
            ProxiesSeen::Seen {
                converged,
                total,
                lagging,
                ..
            } => {
                let late = total - converged;
                Some(format!(
                    "{late} of {total} proxies have not followed: {lagging}"
                ))
            }
        };
        match why {
            Some(why) if is_patient => {
                let message = format!("{}; {why}", ending.message);
                self.say_once(EventKind::Unfollowed, Phase::RollingBack, message);
            }
            Some(why) => self.over(ending.outcome, format!("{}; {why}", ending.message)),
            None => self.over(ending.outcome, ending.message),
        }
    }

    fn say_not_back(&mut self, ending: &str) {
        if let Some(why) = self.weights_failure() {
            let message = format!("{ending}; the weight is not 0 yet: {why}");
            self.say_once(EventKind::Unfollowed, Phase::RollingBack, message);
        }
    }
}
