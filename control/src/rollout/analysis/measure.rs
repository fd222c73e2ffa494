//! Measuring one check: from what was observed to where it stands.

use super::Round;
use super::evidence::Hits;
use super::latency::Histogram;
use super::memory::{Standing, State};
use super::plan::{Basis, Check, Subject};
use super::rates::{self, Value};
use super::reason::Reason;
use crate::rollout::observation::{Arms, Reading};
use crate::rollout::resource::{OnMissing, Threshold};

/// Where a check stands, and why.
type Found = (Standing, Option<Reason>);

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

/// Whether a check with a confidence has what it needs to fail.
fn has_evidence(check: &Check, round: &Round<'_>, state: &mut State) -> bool {
    let needed = check
        .confidence
        .map(|confidence| round.needed(check, confidence));
    needed.is_some_and(|needed| state.suffices(needed))
}

/// What is missing of the requests that a decision needs, of the fallback where it is compared
/// with. Without any request there is nothing to decide by, even where none are asked for.
fn few(check: &Check, round: &Round<'_>, own: u64, others: u64) -> Result<Option<Reason>, Reason> {
    let least = round.context.plan.min_requests;
    let is_few = |seen: u64| seen < u64::from(least);
    if is_few(own) {
        return Ok(Some(Reason::FewRequests(own, least)));
    }
    if check.basis == Basis::Fallback && is_few(others) {
        return Ok(Some(Reason::FewFallbackRequests(others, least)));
    }
    match own {
        0 => Err(Reason::NoData),
        _ => Ok(None),
    }
}

/// A value against the thresholds: with both, between them it holds; with one of them alone, what is
/// not on its side is the other. With a confidence only evidence fails.
fn compared(check: &Check, value: f64) -> Found {
    let holds = |threshold: Option<Threshold>| threshold.map(|threshold| threshold.holds(value));
    let fails = holds(check.fail).filter(|_| !check.is_test());
    match (fails, holds(check.pass)) {
        (Some(true), _) => (Standing::Fail, Some(Reason::Failing)),
        (_, Some(true)) => (Standing::Pass, None),
        (_, None) => (Standing::Pass, None),
        (None, Some(false)) if !check.is_test() => (Standing::Fail, Some(Reason::NotPassing)),
        (_, Some(false)) => (Standing::Hold, Some(Reason::Between)),
    }
}

/// How far a value is from failing, or from not passing where only that is said.
fn distance(check: &Check, value: f64) -> Option<f64> {
    let room = |threshold: Threshold, sign: f64| {
        let above = value - threshold.amount.value();
        match threshold.comparison.is_upward() {
            true => above * sign,
            false => -above * sign,
        }
    };
    match (check.fail, check.pass) {
        (Some(fail), _) => Some(room(fail, -1.0)),
        (None, Some(pass)) => Some(room(pass, 1.0)),
        (None, None) => None,
    }
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

fn of_latency(
    check: &Check,
    quantile: f64,
    arms: &Arms,
    round: &Round<'_>,
    state: &mut State,
) -> Result<Found, Reason> {
    let (own, others) = (&arms.challenger.window, &arms.fallback.window);
    let total = |of: &Option<Histogram<'_>>| of.map_or(0, |histogram| histogram.total());
    let (of_own, of_others) = (
        Histogram::of(own, quantile),
        Histogram::of(others, quantile),
    );
    if own.responses > 0 && own.buckets.is_empty() {
        return Err(Reason::NoHistogram);
    }
    let few = few(check, round, total(&of_own), total(&of_others))?;
    let judged = match check.basis {
        Basis::Limit => of_own.map(|own| at_limit(check, own, arms, round, state)),
        Basis::Fallback => {
            of_others.map(|others| beside(check, of_own, others, arms, round, state))
        }
    };
    let judged = judged.transpose()?;
    let (suffices, found) = judged.unwrap_or((false, (Standing::Hold, None)));
    match few {
        _ if suffices => Ok((Standing::Fail, Some(Reason::Evidence))),
        Some(few) => Ok((Standing::Hold, Some(few))),
        None => Ok(found),
    }
}

/// A quantile against times, each looked at through the edges around it.
fn at_limit(
    check: &Check,
    own: Histogram<'_>,
    arms: &Arms,
    round: &Round<'_>,
    state: &mut State,
) -> Result<(bool, Found), Reason> {
    let upper = own.upper();
    let limit = |threshold: Option<Threshold>| threshold.map(|at| at.amount.value());
    state.set(upper, None, distance(check, upper));
    let (pass, fail) = (limit(check.pass), limit(check.fail));
    let mut suffices = false;
    if let (Some(fail), Subject::Latency(quantile), true) = (fail, &check.subject, check.is_test())
    {
        let edge = own.edge_above(fail);
        state.add_to_limit(
            slower(&arms.challenger.since, *quantile, edge),
            1.0 - quantile,
        );
        suffices = has_evidence(check, round, state);
    }
    let fail = fail.filter(|_| !check.is_test());
    let is_slower = |at: f64| !own.is_within(own.edge_above(at));
    let is_within = |at: f64| own.is_within(own.edge_below(at));
    let between = |at: f64| {
        let (low, high) = (own.edge_below(at), own.edge_above(at));
        let reason = match high.is_finite() {
            true => Reason::Straddles(low, high),
            false => Reason::AboveEdges(low),
        };
        (Standing::Hold, Some(reason))
    };
    let mut judged_at = |edge: f64| state.edge = edge.is_finite().then_some(edge);
    let found = match (pass, fail) {
        (_, Some(fail)) if is_slower(fail) => {
            judged_at(own.edge_above(fail));
            (Standing::Fail, Some(Reason::Failing))
        }
        (Some(pass), _) if is_within(pass) => {
            judged_at(own.edge_below(pass));
            (Standing::Pass, None)
        }
        (Some(pass), None) if !check.is_test() && is_slower(pass) => {
            judged_at(own.edge_above(pass));
            (Standing::Fail, Some(Reason::NotPassing))
        }
        (Some(pass), None) if !check.is_test() => between(pass),
        (Some(_), _) => (Standing::Hold, Some(Reason::Between)),
        (None, Some(fail)) if is_within(fail) => {
            judged_at(own.edge_below(fail));
            (Standing::Pass, None)
        }
        (None, Some(fail)) => between(fail),
        (None, None) => (Standing::Pass, None),
    };
    Ok((suffices, found))
}

/// A quantile against the fallback's: both by the upper edges of their buckets, the challenger's at
/// the smallest edge that is not below the fallback's with the margin.
fn beside(
    check: &Check,
    own: Option<Histogram<'_>>,
    others: Histogram<'_>,
    arms: &Arms,
    round: &Round<'_>,
    state: &mut State,
) -> Result<(bool, Found), Reason> {
    let base = others.upper();
    let edge = |threshold: Threshold| {
        let at = base * (1.0 + threshold.amount.value());
        let edge = others.edge_above(at);
        let highest = others.edge_below(f64::MAX);
        (edge.is_finite())
            .then_some(edge)
            .ok_or(Reason::NoEdge(at.min(highest)))
    };
    let (pass, fail) = (
        check.pass.map(edge).transpose()?,
        check.fail.map(edge).transpose()?,
    );
    let is_within = |edge: f64| own.is_none_or(|own| own.is_within(edge));
    let mut suffices = false;
    if let (Some(fail), Subject::Latency(quantile), true) = (fail, &check.subject, check.is_test())
    {
        suffices = add_slower(*quantile, fail, arms, others.total(), round, state)
            && has_evidence(check, round, state)
            && !is_within(state.edge.unwrap_or(fail));
    } else {
        state.edge = fail.or(pass);
    }
    let upper = own.map_or(f64::NAN, |own| own.upper());
    let distance = fail.or(pass).map(|edge| edge - upper);
    state.set(upper, Some(base), distance);
    let fail = fail.filter(|_| !check.is_test());
    let found = match (pass.map(is_within), fail.map(is_within)) {
        (_, Some(false)) => (Standing::Fail, Some(Reason::Failing)),
        (Some(true) | None, _) => (Standing::Pass, None),
        (Some(false), None) if !check.is_test() => (Standing::Fail, Some(Reason::NotPassing)),
        (Some(false), _) => (Standing::Hold, Some(Reason::Between)),
    };
    Ok((suffices, found))
}

/// The edge is fixed by the first round of a step in which the fallback has enough requests, and
/// evidence begins with the next: an edge that followed the data would choose its own evidence.
fn add_slower(
    quantile: f64,
    edge: f64,
    arms: &Arms,
    seen: u64,
    round: &Round<'_>,
    state: &mut State,
) -> bool {
    let Some(fixed) = state.edge else {
        if seen >= u64::from(round.context.plan.min_requests) {
            state.edge = Some(edge);
        }
        return false;
    };
    let own = slower(&arms.challenger.since, quantile, fixed);
    let others = slower(&arms.fallback.since, quantile, fixed);
    state.add_to_ratio(own, others, 1.0);
    true
}

fn slower(increments: &crate::rollout::observation::Increments, quantile: f64, edge: f64) -> Hits {
    let histogram = Histogram::of(increments, quantile);
    Hits {
        hits: histogram.map_or(0, |histogram| histogram.slower_than(edge)),
        trials: histogram.map_or(0, |histogram| histogram.total()),
    }
}
