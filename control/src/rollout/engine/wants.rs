//! What a host is to look at before it asks the engine, and when.

use std::time::Duration;

use jiff::Timestamp;

use super::begin::is_wanted;
use super::turn::after;
use crate::rollout::definition::Definition;
use crate::rollout::resource::Before;
use crate::rollout::status::{Phase, Run, Stage, Status};
use crate::rollout::workload::kept::Kept;

/// What a host is to look at before it asks the engine, and when to look again.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wants {
    /// Whether the proxies matter now.
    pub proxies: bool,
    /// Whether a round of the analysis is due; of the step that converged then.
    pub round: Option<RoundDue>,
    /// Whether windows and gates matter now, and what for.
    pub entry: Option<Before>,
    /// When something is due; `None`: only when something changes.
    pub look_again: Option<Timestamp>,
}

impl Wants {
    /// Whether proxies or a source of observations are to be asked, which may take its time.
    pub const fn asks_somebody(&self) -> bool {
        self.proxies || self.round.is_some()
    }
}

/// A round of the analysis that is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RoundDue {
    /// When the step's proxies had converged.
    pub converged: Timestamp,
    /// When the step's last round was made.
    pub last: Option<Timestamp>,
}

/// How often a host looks at what it waits for. Chosen: people wait for it, and it costs one look.
pub const LOOK_EVERY: Duration = Duration::from_secs(1);

/// What a host is to look at.
pub fn wants(definition: &Definition, status: &Status, now: Timestamp) -> Wants {
    let waiting = Wants {
        look_again: Some(after(now, LOOK_EVERY)),
        ..Wants::default()
    };
    let Some(run) = status.under_way() else {
        let is_at_rest = |kept: &Kept| kept.is_at_rest || kept.is_slow;
        let is_tended = status.workload.as_ref().is_some_and(is_at_rest);
        if definition.workload.is_some() && !is_tended {
            // Once they follow the zeros they need not be asked again.
            let is_empty = |kept: &Kept| kept.empty.is_some();
            return Wants {
                proxies: !status.workload.as_ref().is_some_and(is_empty),
                ..waiting
            };
        }
        let is_slow = status.workload.as_ref().is_some_and(|kept| kept.is_slow);
        let is_idle = status.phase == Phase::Idle || is_slow || !is_wanted(definition, status);
        return if is_idle && !status.is_finishing {
            Wants::default()
        } else {
            waiting
        };
    };
    match run.stage {
        Stage::Entering => Wants {
            proxies: true,
            round: waiting_round(definition, run, now),
            entry: Some(if run.has_moved {
                Before::Step
            } else {
                Before::Start
            }),
            ..waiting
        },
        Stage::Moving | Stage::Converging | Stage::GoingBack => Wants {
            proxies: true,
            ..waiting
        },
        Stage::Holding | Stage::Approval | Stage::Over => in_hold(definition, run, now),
    }
}

/// What a host is to look at while a step is held.
fn in_hold(definition: &Definition, run: &Run, now: Timestamp) -> Wants {
    let converged = run.converged.unwrap_or(run.since);
    let end = hold_end(definition, run);
    let analysis = definition.analysis.as_ref();
    let is_measured = !run.is_edited() && run.straight.is_none();
    let analysis = analysis.filter(|_| definition.is_watched(run.step) && is_measured);
    let round = analysis.map(|analysis| round_due(run, converged, end, analysis.interval));
    let is_last = now >= end && run.step + 1 >= definition.steps.len();
    let is_due = round.is_some_and(|due| due <= now);
    let soon = after(now, LOOK_EVERY);
    let look_again = [Some(end), round].into_iter().flatten();
    let look_again = look_again
        .filter(|due| *due > now)
        .fold(soon, Timestamp::min);
    Wants {
        // The guard's trips come with them.
        proxies: true,
        round: is_due.then_some(RoundDue {
            converged,
            last: run.round,
        }),
        entry: is_last.then_some(Before::Finish),
        look_again: Some(look_again),
    }
}

/// A round of the step before, whose users go on being watched while the next one waits.
fn waiting_round(definition: &Definition, run: &Run, now: Timestamp) -> Option<RoundDue> {
    let analysis = definition.analysis.as_ref()?;
    let converged = run.converged?;
    let last = run.round?;
    let is_watched = definition.is_watched(run.step_in_force()) && !run.is_edited();
    (is_watched && after(last, analysis.interval) <= now).then_some(RoundDue {
        converged,
        last: Some(last),
    })
}

/// When the next round is made: when the proxies have converged, each interval, and at the end of
/// the hold.
fn round_due(run: &Run, converged: Timestamp, end: Timestamp, interval: Duration) -> Timestamp {
    match run.round {
        None => converged,
        Some(last) if last < end => after(last, interval).min(end),
        Some(last) => after(last, interval),
    }
}

/// When the step's hold is over.
pub(super) fn hold_end(definition: &Definition, run: &Run) -> Timestamp {
    let step = definition.steps.get(run.step);
    let hold = step.map_or(Duration::ZERO, |step| step.hold);
    after(run.converged.unwrap_or(run.since), hold)
}
