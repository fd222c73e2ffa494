//! Measuring one check: from what was observed to where it stands.

use super::Round;
use super::decide::{Found, compared, distance, few, has_evidence};
use super::memory::{Standing, State};
use super::plan::{Basis, Check, Subject};
use super::rates::{self, Value};
use super::reason::Reason;
use super::slow::of_latency;
use crate::rollout::observation::{Arms, Reading};
use crate::rollout::resource::OnMissing;

/// Measures a check into its state. A query that was not asked in this round leaves it as it was.
pub(super) fn measure(check: &Check, round: &Round<'_>, state: &mut State) {
    let found = match &check.subject {
        Subject::Query(_) => of_query(check, round, state),
        _ => Some(of_metric(check, round, state)),
    };
    let Some(found) = found else {
        if state.reason.is_none() && state.value.is_none() {
            state.reason = Some(Reason::NotAsked);
        }
        return;
    };
    let (standing, reason) = found.unwrap_or_else(|reason| {
        state.value = None;
        state.fallback = None;
        state.distance = None;
        (missing(round, &reason), Some(reason))
    });
    state.standing = standing;
    state.reason = reason;
    if standing == Standing::Fail {
        state.failed = state.failed.saturating_add(1);
    }
}

/// Where a check stands that was not measured.
fn missing(round: &Round<'_>, reason: &Reason) -> Standing {
    let plan = round.context.plan;
    let choice = match reason {
        Reason::Error(_) => plan.on_error,
        _ => plan.on_no_data,
    };
    match choice {
        OnMissing::Hold => Standing::Hold,
        OnMissing::Pass => Standing::Pass,
        OnMissing::Fail => Standing::Fail,
    }
}

fn of_query(check: &Check, round: &Round<'_>, state: &mut State) -> Option<Result<Found, Reason>> {
    let reading = round.observation.queries.get(&check.name)?;
    if check.interval.is_some() {
        state.asked = Some(round.observation.at.as_millisecond());
    }
    Some(match reading {
        Reading::Value(value) if value.is_nan() => Err(Reason::error("NaN is no number")),
        Reading::Value(value) => {
            state.set(*value, None, distance(check, *value));
            Ok(compared(check, *value))
        }
        Reading::NoData => Err(Reason::NoData),
        Reading::Error(why) => Err(Reason::error(why)),
    })
}

fn of_metric(check: &Check, round: &Round<'_>, state: &mut State) -> Result<Found, Reason> {
    let exposures = round.context.exposures;
    let is_compared = check.basis == Basis::Fallback || check.subject == Subject::SampleRatio;
    if is_compared && !(exposures.challenger > 0.0 && exposures.fallback > 0.0) {
        state.set(f64::NAN, None, None);
        return Ok((Standing::NotApplicable, Some(Reason::NoFallback)));
    }
    let arms = round.arms()?;
    match check.subject {
        Subject::Latency(quantile) => of_latency(check, quantile, arms, round, state),
        Subject::SampleRatio => of_sample_ratio(check, arms, round, state),
        _ => of_rate(check, arms, round, state),
    }
}

fn of_rate(
    check: &Check,
    arms: &Arms,
    round: &Round<'_>,
    state: &mut State,
) -> Result<Found, Reason> {
    let value = match check.subject {
        Subject::FailedUsers => rates::of_users(check, arms, round, state)?,
        _ => rates::of_responses(check, arms, state),
    };
    let (own, others) = (
        arms.challenger.window.responses,
        arms.fallback.window.responses,
    );
    let suffices = has_evidence(check, round, state);
    let few = few(check, round, own, others)?;
    let Value {
        compared: against,
        own,
        fallback,
    } = value;
    state.set(own, fallback, distance(check, against));
    if suffices {
        return Ok((Standing::Fail, Some(Reason::Evidence)));
    }
    Ok(few.map_or_else(
        || compared(check, against),
        |few| (Standing::Hold, Some(few)),
    ))
}

fn of_sample_ratio(
    check: &Check,
    arms: &Arms,
    round: &Round<'_>,
    state: &mut State,
) -> Result<Found, Reason> {
    let exposures = round.context.exposures;
    let (share, evidence) = rates::of_sample_ratio(arms, exposures)?;
    state.set(share, None, None);
    let needed = round.needed(check, check.confidence.unwrap_or_default());
    if state.show(evidence, needed) {
        return Ok((Standing::Fail, Some(Reason::Evidence)));
    }
    let (own, others) = (
        arms.challenger.window.responses,
        arms.fallback.window.responses,
    );
    let few = few(check, round, own.saturating_add(others), others)?;
    Ok(few.map_or((Standing::Pass, None), |few| (Standing::Hold, Some(few))))
}
