//! What all checks are decided by: enough requests, thresholds, and evidence.

use super::Round;
use super::memory::{Standing, State};
use super::plan::{Basis, Check};
use super::reason::Reason;
use crate::rollout::resource::Threshold;

/// Where a check stands, and why.
pub(super) type Found = (Standing, Option<Reason>);

/// Whether a check with a confidence has what it needs to fail.
pub(super) fn has_evidence(check: &Check, round: &Round<'_>, state: &mut State) -> bool {
    let needed = check
        .confidence
        .map(|confidence| round.needed(check, confidence));
    needed.is_some_and(|needed| state.suffices(needed))
}

/// What is missing of the requests that a decision needs, of the fallback where it is compared
/// with. Without any request there is nothing to decide by, even where none are asked for.
pub(super) fn few(
    check: &Check,
    round: &Round<'_>,
    own: u64,
    others: u64,
) -> Result<Option<Reason>, Reason> {
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
pub(super) fn compared(check: &Check, value: f64) -> Found {
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
pub(super) fn distance(check: &Check, value: f64) -> Option<f64> {
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
