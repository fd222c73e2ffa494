//! Rates of failures and of users who failed: their values, and what is new for their tests.

use sluice_core::users::{FAILED_BITS, Users};

use super::evidence::Hits;
use super::memory::State;
use super::plan::{Basis, Check, Subject};
use super::reason::Reason;
use super::users::{Newly, Since};
use super::{Exposures, Round};
use crate::rollout::observation::{Arm, Arms};
use crate::rollout::resource::{Amount, Threshold};
use crate::rollout::statistics::{newcomers, sample_ratio};

/// The part of the bits below which too few are left to count with. Chosen: what is left then is a
/// matter of chance.
const LEAST_UNSET: f64 = 0.05;

/// What is compared with thresholds, and what is shown beside it.
pub(super) struct Value {
    pub(super) compared: f64,
    pub(super) own: f64,
    pub(super) fallback: Option<f64>,
}

/// The value of a rate of responses; failures since the last round go to its test.
pub(super) fn of_responses(check: &Check, arms: &Arms, state: &mut State) -> Value {
    if check.is_test() {
        add_responses(check, arms, state);
    }
    let rate = |increments| {
        let Hits { hits, trials } = Hits::of_failures(increments);
        hits as f64 / (trials.max(1)) as f64
    };
    let (own, others) = (rate(&arms.challenger.window), rate(&arms.fallback.window));
    let is_success = check.subject == Subject::SuccessRate;
    let shown = |rate: f64| if is_success { 1.0 - rate } else { rate };
    Value {
        compared: match check.basis {
            Basis::Limit => shown(own),
            Basis::Fallback if is_relative(check) => relative(own, others),
            Basis::Fallback => shown(own) - shown(others),
        },
        own: shown(own),
        fallback: (check.basis == Basis::Fallback).then(|| shown(others)),
    }
}

fn add_responses(check: &Check, arms: &Arms, state: &mut State) {
    let own = Hits::of_failures(&arms.challenger.since);
    let others = Hits::of_failures(&arms.fallback.since);
    match check.fail.map(|fail| fail.amount) {
        Some(Amount::Share(limit)) if check.subject == Subject::SuccessRate => {
            state.add_to_limit(own, 1.0 - limit);
        }
        Some(Amount::Share(limit)) => state.add_to_limit(own, limit),
        Some(Amount::Relative(margin)) => state.add_to_ratio(own, others, 1.0 + margin),
        // More failures by a point are fewer successes by one.
        Some(Amount::Points(margin)) => state.add_to_points(own, others, margin.abs()),
        _ => {}
    }
}

fn is_relative(check: &Check) -> bool {
    let is_relative = |threshold: &Threshold| matches!(threshold.amount, Amount::Relative(_));
    let thresholds = [&check.pass, &check.fail];
    thresholds.into_iter().flatten().any(is_relative)
}

/// By how much of the fallback's the challenger's is more. Where the fallback has none: as much as
/// can be, or nothing when the challenger has none either.
fn relative(own: f64, others: f64) -> f64 {
    match (own > 0.0, others > 0.0) {
        (_, true) => own / others - 1.0,
        (true, false) => f64::INFINITY,
        (false, false) => 0.0,
    }
}

/// The value of failed users; those who are new go to its test.
pub(super) fn of_users(
    check: &Check,
    arms: &Arms,
    round: &Round<'_>,
    state: &mut State,
) -> Result<Value, Reason> {
    let newly = round.users.ok_or(Reason::NoUsers)?;
    let sketch = |arm: &Arm| arm.users.clone().ok_or(Reason::NoUsers);
    let (own, others) = (sketch(&arms.challenger)?, sketch(&arms.fallback)?);
    if check.basis == Basis::Limit {
        let own = own.failed() / own.users().max(1.0);
        return Ok(Value {
            compared: own,
            own,
            fallback: None,
        });
    }
    let exposures = round.context.exposures;
    if let (Some(fail), Some(confidence)) = (check.fail, check.confidence) {
        let (own, others) = (&arms.challenger.since, &arms.fallback.since);
        let new = newcomers::Round {
            own: newly.challenger.into(),
            others: newly.fallback.into(),
            requests: own.responses.saturating_add(others.responses),
            exposures: (exposures.challenger, exposures.fallback),
            margin: 1.0 + fail.amount.value(),
        };
        add_users(newly, new, round.needed(check, confidence), state)?;
    } else if unset(&others) < LEAST_UNSET {
        return Err(Reason::Saturated);
    }
    let (own, others) = (own.failed(), others.failed());
    Ok(Value {
        compared: relative(own / exposures.challenger, others / exposures.fallback),
        own,
        fallback: Some(others),
    })
}

/// A step that begins with nearly all bits set cannot be judged. Where they fill up later, evidence
/// ends after hundreds of users, and what there is stands.
fn add_users(
    newly: Newly,
    new: newcomers::Round,
    needed: f64,
    state: &mut State,
) -> Result<(), Reason> {
    if newly.since == Since::Now {
        state.test = None;
    }
    if !newly.is_base {
        state.add_newcomers(new, needed);
    }
    match newly.unset < LEAST_UNSET {
        true => Err(Reason::Saturated),
        false => Ok(()),
    }
}

fn unset(users: &Users) -> f64 {
    1.0 - f64::from(users.failed_bits()) / FAILED_BITS as f64
}

/// The challenger's part of the users, and the evidence that it is not its weight.
pub(super) fn of_sample_ratio(arms: &Arms, exposures: Exposures) -> Result<(f64, f64), Reason> {
    let users = |arm: &Arm| {
        let users = arm.users.as_ref().ok_or(Reason::NoUsers)?;
        Ok(users.users())
    };
    let (own, others) = (users(&arms.challenger)?, users(&arms.fallback)?);
    let weights = (exposures.challenger, exposures.fallback);
    let evidence = sample_ratio::evidence(own, others, weights);
    Ok((own / (own + others).max(1.0), evidence))
}
