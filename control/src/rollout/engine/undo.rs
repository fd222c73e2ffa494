//! A run that got to its end, and is taken back before the copy has served everyone with its version;
//! and a copy that is mended while a run is under way.

use super::turn::{EventKind, Turn, is_anybody_there};
use crate::rollout::status::{Phase, Run, RunOutcome};
use crate::rollout::workload::kept::Kept;
use crate::rollout::workload::next::{self, Facing};
use crate::rollout::workload::seen::{Both, WorkloadSeen};
use crate::rollout::world::SplitSeen;

impl Turn<'_> {
    /// Takes a run back that is over and not promoted, where the split was aborted, its users were
    /// taken away, or their pods are gone; whether that is so.
    pub(super) fn was_undone(&mut self) -> bool {
        let SplitSeen::Seen(split) = &self.world.split else {
            return false;
        };
        let run = self.status.run.clone();
        let Some(run) = run.filter(|_| self.may_be_undone()) else {
            return false;
        };
        let is_empty = !is_anybody_there(&split.weights);
        let (outcome, why) = match (run.abort_since(split), &self.world.workload) {
            (_, None | Some(WorkloadSeen::Unknown { .. })) => return false,
            (Some(abort), _) => (RunOutcome::Aborted, format!("aborted by {abort}")),
            (None, Some(WorkloadSeen::Missing { what })) if !is_empty => {
                (RunOutcome::RolledBack, what.clone())
            }
            (None, Some(WorkloadSeen::Missing { .. })) => return false,
            (None, Some(WorkloadSeen::Seen(both))) => match self.undone(&run, both, is_empty) {
                Some(undone) => undone,
                None => return false,
            },
        };
        self.undo(outcome, &why);
        true
    }

    /// What takes a run back whose Deployments are there.
    fn undone(&mut self, run: &Run, both: &Both, is_empty: bool) -> Option<(RunOutcome, String)> {
        if run.version.as_ref() != Some(&both.wanted.version) {
            // A copy that serves with what succeeded keeps it, and everybody goes back to it.
            let kept = self.status.workload.as_ref();
            let is_settled = kept.is_some_and(|kept| kept.is_settled(self.world.now));
            let is_served = is_settled
                && both.mistake.is_none()
                && both.copy.as_ref().map(|copy| &copy.version) == run.version.as_ref();
            let message = self.meanwhile(both);
            return (!is_served).then_some((RunOutcome::Superseded, message));
        }
        if is_empty {
            let by = match &self.world.split {
                SplitSeen::Seen(split) => split.last_change.as_deref(),
                _ => None,
            };
            let by = by.unwrap_or("somebody unknown");
            return Some((
                RunOutcome::Aborted,
                format!("the weight was taken to 0 by {by}"),
            ));
        }
        let mut kept = self.status.workload.clone().unwrap_or_default();
        let dead = self.are_dead(both, &mut kept);
        self.status.workload = Some(kept);
        let why = both.mistake.clone().or(dead)?;
        Some((RunOutcome::RolledBack, why))
    }

    /// Whether a run is over and not promoted, and may still be.
    pub(super) fn may_be_undone(&self) -> bool {
        self.status.is_unpromoted() && self.handing_back().is_none()
    }

    /// Takes a run back that is over and not promoted.
    pub(super) fn undo(&mut self, outcome: RunOutcome, why: &str) {
        let version = self.status.run.as_ref().and_then(|run| run.version.clone());
        let version = version.unwrap_or_default();
        let keeps = match &self.world.workload {
            Some(WorkloadSeen::Seen(both)) => self.what_stays(both, &version),
            _ => String::new(),
        };
        let message = format!("{why}, before {version} was promoted{keeps}");
        self.end_as(outcome, message);
    }

    /// What the copy has from now on.
    fn what_stays(&self, both: &Both, version: &str) -> String {
        let (Some(workload), Some(kept)) = (&self.definition.workload, &self.status.workload)
        else {
            return String::new();
        };
        if kept.is_unjudged {
            // It is said of each such run that ends.
            return String::new();
        }
        let name = workload.copy();
        let former = kept.promotions.last().filter(|former| *former != version);
        match former {
            _ if both.given.as_deref() != Some(version) => {
                format!("; Deployment {name} keeps what it has")
            }
            Some(former) if both.has_template(former) => {
                format!("; Deployment {name} is given {former} again")
            }
            _ => format!("; Deployment {name} has it all the same: no former template is kept"),
        }
    }

    /// What is said of a run that ends, where the copy serves with the same version all the same.
    pub(super) fn beside_unjudged(&self, why: String) -> String {
        let kept = self
            .status
            .workload
            .as_ref()
            .filter(|kept| kept.is_unjudged);
        let run = self.status.run.as_ref();
        let is_same = |kept: &&Kept| run.is_some_and(|run| run.version == kept.promoted);
        match (&self.definition.workload, kept.filter(is_same)) {
            (Some(workload), Some(_)) => {
                let name = workload.copy();
                format!(
                    "{why}; Deployment {name} serves on with the same version: there is no other"
                )
            }
            _ => why,
        }
    }

    /// Sees to a copy that is gone, or has what nobody wants, while the users go back to it.
    pub(super) fn mend_copy(&mut self) {
        let Some(WorkloadSeen::Seen(both)) = &self.world.workload else {
            return;
        };
        let mut kept = self.status.workload.clone().unwrap_or_default();
        let failed = self.status.run.as_ref().and_then(|run| run.version.clone());
        self.workload_action =
            self.with_facing(both, &mut kept, |facing, kept| {
                match next::in_run(facing, kept) {
                    Some((_, action)) => action,
                    None => next::undo(facing, failed.as_deref())
                        .or_else(|| next::grow_back(facing, kept)),
                }
            });
        self.status.workload = Some(kept);
    }

    /// Whether a run waits because its copy is made again.
    pub(super) fn waits_for_copy(&mut self, both: &Both, kept: &mut Kept) -> bool {
        let waits = self.with_facing(both, kept, next::in_run);
        let Some((why, action)) = waits else {
            return false;
        };
        self.workload_action = action;
        let is_paused = self.status.phase == Phase::Paused;
        if !is_paused {
            let why = self.beside_failure(format!("the run waits: {why}"));
            self.say_once(EventKind::Waiting, Phase::Progressing, why);
        }
        true
    }

    fn with_facing<T>(
        &self,
        both: &Both,
        kept: &mut Kept,
        asked: impl FnOnce(&Facing<'_>, &mut Kept) -> Option<T>,
    ) -> Option<T> {
        let workload = self.definition.workload.as_ref()?;
        let before = kept.clone();
        let facing = Facing {
            workload,
            both,
            kept: &before,
            now: self.world.now,
        };
        asked(&facing, kept)
    }
}
