//! One call of the engine: what it says and where it moves the run. Which transition it is, is
//! the other files'.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use sluice_core::allocation::Percent;

use crate::operations::set::Draw;
use crate::rollout::definition::Definition;
use crate::rollout::status::{
    Ending, MAX_RUNS, Pause, PauseReason, Phase, RunLine, RunOutcome, Stage, Status, line, sentence,
};
use crate::rollout::workload::next;
use crate::rollout::workload::services::Selection;
use crate::rollout::world::World;

/// What a host is to do.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// Set the challenger's weight of an audience.
    Set {
        /// Whose.
        audience: String,
        /// To what.
        percent: Percent,
        /// Whether other users are drawn with it.
        draw: Draw,
    },
    /// Take the challenger's users back, at once and whatever stands in the way.
    TakeBack {
        /// Why, for the history.
        why: String,
    },
    /// Do something about the workload's Deployments.
    Workload(next::Action),
    /// Let one of its Services have other pods; what fails of it ends no list.
    Select(Selection),
}

impl Action {
    /// Whether it takes users back.
    pub const fn is_taking_back(&self) -> bool {
        matches!(self, Self::TakeBack { .. })
    }
}

/// What happened.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    /// What kind of thing.
    pub kind: EventKind,
    /// The run's number; 0 before the first.
    pub run: u64,
    /// In a sentence.
    pub message: String,
}

/// What kind of thing happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum EventKind {
    /// A run began.
    Started,
    /// A step's weights are to be set.
    Stepped,
    /// The proxies follow.
    Converged,
    /// A step is over.
    Passed,
    /// Something is waited for.
    Waiting,
    /// The challenger still has users.
    Blocked,
    /// A person is to approve.
    ApprovalWanted,
    /// The run stands still.
    Paused,
    /// It goes on.
    Resumed,
    /// Its users are taken back.
    RollingBack,
    /// They are not back yet.
    Unfollowed,
    /// It failed, and its users are back.
    RolledBack,
    /// Somebody ended it, and its users are back.
    Aborted,
    /// It got to its end.
    Succeeded,
    /// Another version came before its end.
    Superseded,
    /// A command could not be obeyed.
    Refused,
    /// What became of the run could not be kept.
    Unkept,
}

impl EventKind {
    /// The reason of the Event, in Kubernetes' manner: `RollingBack`.
    pub fn reason(self) -> String {
        format!("{self:?}")
    }

    /// Whether a person should look.
    pub const fn is_warning(self) -> bool {
        matches!(
            self,
            Self::Blocked
                | Self::Paused
                | Self::RollingBack
                | Self::RolledBack
                | Self::Aborted
                | Self::Refused
                | Self::Unkept
        )
    }
}

/// One call of the engine.
pub(super) struct Turn<'t> {
    pub(super) definition: &'t Definition,
    pub(super) world: &'t World,
    pub(super) status: Status,
    pub(super) events: Vec<Event>,
    /// What is to be done about the workload's Deployments.
    pub(super) workload_action: Option<next::Action>,
}

impl Turn<'_> {
    pub(super) fn say(&mut self, kind: EventKind, message: impl Into<String>) {
        let message = sentence(message);
        self.status.message.clone_from(&message);
        self.events.push(Event {
            kind,
            run: self.status.run.as_ref().map_or(0, |run| run.number),
            message,
        });
    }

    /// Says something beside what the run does.
    pub(super) fn note(&mut self, message: impl Into<String>) {
        self.events.push(Event {
            kind: EventKind::Waiting,
            run: self.status.run.as_ref().map_or(0, |run| run.number),
            message: sentence(message),
        });
    }

    /// As [`Turn::say`], but silent while it says the same as before.
    pub(super) fn say_once(&mut self, kind: EventKind, phase: Phase, message: impl Into<String>) {
        let message = sentence(message);
        if self.status.phase != phase || self.status.message != message {
            self.status.phase = phase;
            self.say(kind, message);
        }
    }

    /// Why the last weight was not set.
    pub(super) fn weights_failure(&self) -> Option<String> {
        let failure = self.world.failure.as_ref()?;
        failure.of_weights().map(str::to_owned)
    }

    /// Moves the run to a stage.
    pub(super) fn go_to(&mut self, stage: Stage) {
        let now = self.world.now;
        if let Some(run) = &mut self.status.run {
            run.stage = stage;
            run.since = now;
        }
    }

    pub(super) fn pause(&mut self, reason: PauseReason, message: impl Into<String>) {
        let message = sentence(message);
        let since = self.world.now;
        if let Some(run) = &mut self.status.run {
            run.pause = Some(Pause {
                reason,
                message: message.clone(),
                since,
            });
        }
        self.status.phase = Phase::Paused;
        self.say(EventKind::Paused, message);
    }

    /// The run is to take its users back.
    pub(super) fn end_as(&mut self, outcome: RunOutcome, message: impl Into<String>) {
        let message = sentence(self.beside_unjudged(message.into()));
        if let Some(run) = &mut self.status.run {
            run.pause = None;
            run.ending = Some(Ending {
                outcome,
                message: message.clone(),
            });
        }
        self.go_to(Stage::GoingBack);
        self.status.phase = Phase::RollingBack;
        self.say(EventKind::RollingBack, message);
    }

    /// The run is over.
    pub(super) fn over(&mut self, outcome: RunOutcome, message: impl Into<String>) {
        let message = sentence(message);
        self.forget_waiting();
        self.go_to(Stage::Over);
        let now = self.world.now;
        let Some(run) = &mut self.status.run else {
            return;
        };
        run.pause = None;
        run.ended = Some(now);
        run.ending = Some(Ending {
            outcome,
            message: message.clone(),
        });
        let ended = RunLine {
            number: run.number,
            version: run.version.clone(),
            began: run.began,
            ended: now,
            outcome,
            step: run.step + 1,
            message: line(&message),
        };
        // One that got to its end, and was taken back after that, is remembered as that alone.
        self.status.runs.retain(|line| line.number != ended.number);
        self.status.runs.push(ended);
        let surplus = self.status.runs.len().saturating_sub(MAX_RUNS);
        self.status.runs.drain(..surplus);
        let (phase, kind) = match outcome {
            RunOutcome::Succeeded => (Phase::Succeeded, EventKind::Succeeded),
            RunOutcome::RolledBack => (Phase::RolledBack, EventKind::RolledBack),
            RunOutcome::Aborted => (Phase::Aborted, EventKind::Aborted),
            RunOutcome::Superseded => (Phase::Waiting, EventKind::Superseded),
        };
        self.status.phase = phase;
        self.say(kind, message);
    }
}

/// Whether any audience has a weight.
pub(super) fn is_anybody_there(weights: &BTreeMap<String, Percent>) -> bool {
    weights.values().any(|percent| *percent > Percent::ZERO)
}

/// A time later than another.
pub(super) fn after(time: Timestamp, length: Duration) -> Timestamp {
    let length = SignedDuration::try_from(length).unwrap_or(SignedDuration::MAX);
    time.saturating_add(length).unwrap_or(Timestamp::MAX)
}
