//! Measuring a latency: quantiles against times or against the fallback's, at bucket edges.

use super::Round;
use super::decide::{Found, distance, few, has_evidence};
use super::evidence::Hits;
use super::latency::Histogram;
use super::memory::{Standing, State};
use super::plan::{Basis, Check, Subject};
use super::reason::Reason;
use crate::rollout::observation::{Arms, Increments};
use crate::rollout::resource::Threshold;

/// Measures a latency.
pub(super) fn of_latency(
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
    state.edge = None;
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

fn slower(increments: &Increments, quantile: f64, edge: f64) -> Hits {
    let histogram = Histogram::of(increments, quantile);
    Hits {
        hits: histogram.map_or(0, |histogram| histogram.slower_than(edge)),
        trials: histogram.map_or(0, |histogram| histogram.total()),
    }
}
