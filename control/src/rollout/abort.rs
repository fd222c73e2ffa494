//! Ending a Rollout's run whoever runs it, and where nobody does: its users are taken back at once,
//! as `sluice abort` would, and the command is left so that no host goes on with the run.

use serde::Serialize;

use super::commands::Verb;
use super::look::Subject;
use super::rollouts::{Found, RolloutError, RolloutStore};
use super::status::Phase;
use crate::brake::abort::{self as both, Braked, Told};
use crate::brake::pull::{Given, Pulled};
use crate::model::reach::Reach;
use crate::operations::abort::{Abort, AbortOutcome};
use crate::operations::{Caller, OperationError};
use crate::store::{AnyStore, Store as _};

/// What an abort did.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RolloutAbort {
    /// The Rollout.
    pub rollout: String,
    /// What became of the weights.
    #[serde(flatten)]
    pub weights: AbortOutcome,
    /// The number of the command that was left; `None` where no run is to be ended any more.
    pub number: Option<u64>,
    /// Why no command could be left.
    pub not_left: Option<String>,
}

/// What became of an abort, and of the brake beside it.
#[derive(Debug)]
pub struct Ended {
    /// The weights and the run.
    pub aborted: Result<RolloutAbort, NotAborted>,
    /// The brake.
    pub given: Result<Given, Pulled>,
}

impl From<NotAborted> for Ended {
    fn from(why: NotAborted) -> Self {
        Self {
            aborted: Err(why),
            given: Err(Pulled::NotThere),
        }
    }
}

/// Why nothing was aborted.
#[derive(Debug, thiserror::Error)]
pub enum NotAborted {
    /// There is nothing to end.
    #[error(
        "Rollout {rollout}: no run is under way ({phase:?}), so nothing was changed; `sluice abort {split}` takes the \
         challenger's users back whoever moved them"
    )]
    NoRun {
        /// The Rollout.
        rollout: String,
        /// What it does.
        phase: Phase,
        /// Its split.
        split: String,
    },
    /// What is kept of it says nothing, not even what it moves.
    #[error(
        "{why}; nothing was changed: `sluice abort SPLIT`, of the split that it moves, takes the challenger's users \
         back whoever moved them"
    )]
    Unreadable {
        /// What is wrong with what is kept.
        why: String,
    },
    /// The Rollout is not there, or cannot be read.
    #[error(transparent)]
    Rollout(#[from] RolloutError),
    /// The weights could not be written.
    #[error(transparent)]
    Weights(#[from] OperationError),
}

impl NotAborted {
    /// Whether the API server did not answer: at all, or any more.
    pub fn is_without_answer(&self) -> bool {
        match self {
            Self::NoRun { .. } | Self::Unreadable { .. } => false,
            Self::Rollout(error) => error.is_without_answer(),
            Self::Weights(error) => error.is_without_answer(),
        }
    }
}

/// Takes back what the run moved, and brakes it, then leaves the command. Where the zeros take longer
/// than the brake, `told` hears of it meanwhile.
pub async fn abort(
    store: &RolloutStore,
    caller: &Caller,
    name: &str,
    reason: Option<&str>,
    told: Told<'_>,
) -> Ended {
    let found = match store.one(name).await {
        Err(RolloutError::Store(unread)) => {
            return without_its_state(store, caller, (name, reason), unread, told).await;
        }
        Err(error) => return NotAborted::from(error).into(),
        Ok(found) => found,
    };
    let phase = found.status.phase;
    let is_to_end = phase.is_under_way() || found.status.is_unpromoted();
    if !(is_to_end || phase.is_failure()) {
        let no_run = NotAborted::NoRun {
            rollout: found.title(),
            phase,
            split: found.rollout.split,
        };
        return no_run.into();
    }
    let weights = store.weights(&found);
    let order = Abort {
        reach: reach(&weights, &found).await,
        reason: Some(why(name, reason)),
    };
    let Braked { aborted, given } = both::abort(&weights, caller, &order, None, told).await;
    // Whoever runs it must not go on, all the more where the zeros could not be written.
    let left = match is_to_end {
        true => Some(store.ask(name, Verb::Abort, caller, reason).await),
        false => None,
    };
    let (number, not_left) = match left {
        None => (None, None),
        Some(Ok(number)) => (Some(number), None),
        Some(Err(error)) => (None, Some(format!("{error:#}"))),
    };
    let aborted = aborted.map(|weights| RolloutAbort {
        rollout: found.title(),
        weights,
        number,
        not_left,
    });
    Ended {
        aborted: aborted.map_err(NotAborted::from),
        given,
    }
}

fn why(name: &str, reason: Option<&str>) -> String {
    reason.map_or_else(
        || format!("Rollout {name} aborted"),
        |reason| format!("Rollout {name} aborted: {reason}"),
    )
}

/// Where what is kept cannot be read: the whole split goes back, if it is still to be seen which. Who
/// runs the Rollout sees the abort in the split's history.
async fn without_its_state(
    store: &RolloutStore,
    caller: &Caller,
    (name, reason): (&str, Option<&str>),
    unread: anyhow::Error,
    told: Told<'_>,
) -> Ended {
    let why_not = format!("{unread:#}");
    let Some((split, weights)) = store.split(name).await else {
        let unread = RolloutError::Store(unread);
        return match unread.is_without_answer() {
            true => NotAborted::Rollout(unread).into(),
            false => NotAborted::Unreadable { why: why_not }.into(),
        };
    };
    let order = Abort {
        reach: Reach::of_split(&split),
        reason: Some(why(name, reason)),
    };
    let Braked { aborted, given } = both::abort(&weights, caller, &order, None, told).await;
    let aborted = aborted.map(|weights| RolloutAbort {
        rollout: name.to_owned(),
        weights,
        number: None,
        not_left: Some(why_not),
    });
    Ended {
        aborted: aborted.map_err(NotAborted::from),
        given,
    }
}

/// What the run moved, whatever its spec says meanwhile; where the challenger cannot be known, the
/// whole split.
async fn reach(weights: &AnyStore, found: &Found) -> Reach {
    // What an earlier version kept says no split.
    let run = found.status.run.as_ref();
    if let Some(run) = run.filter(|run| !run.split.is_empty()) {
        return Subject::moved(run).reach();
    }
    let mut wanted = Subject::wanted(&found.rollout);
    if wanted.challenger.is_none() {
        wanted.challenger = only_challenger(weights, &wanted.split).await;
    }
    wanted.reach()
}

async fn only_challenger(weights: &AnyStore, split: &str) -> Option<String> {
    let plan = weights.snapshot().await.ok()?.plugin.plan_at_home().ok()?;
    match plan.split_named(split)?.definition.challengers() {
        [only] => Some(only.to_string()),
        _ => None,
    }
}
