//! A Canary's weights, iterations and interval as steps.

use std::time::Duration;

use serde_json::Value;

use super::super::fields::Fields;
use super::super::length;
use super::super::notes::Notes;
use super::super::split::{Routes, has_rule};
use super::super::written::Step;
use super::canary::AB_TEST;
use crate::rollout::resource::MAX_STEPS;

/// How a run goes.
pub(super) struct Plan {
    pub(super) steps: Vec<Step>,
    /// How often Flagger looks.
    pub(super) interval: Duration,
    /// Whether anything is looked at.
    pub(super) is_watched: bool,
}

/// Whom Flagger gives the new version while it looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tried {
    /// Any request, by the weights.
    Any,
    /// Those of the rule alone, by the weights.
    Matching,
    /// Those that match alone, and no rule says which.
    Unknown,
}

impl Tried {
    /// By the routes of a Canary, and what became of them in the split.
    pub(super) fn of(routes: &Routes, split: &Value) -> Self {
        match (routes.rules.is_empty(), has_rule(split, AB_TEST)) {
            (true, _) => Self::Any,
            (false, true) => Self::Matching,
            (false, false) => Self::Unknown,
        }
    }
}

/// Flagger's own default, and the shortest that it takes (canary.go, GetAnalysisInterval).
const INTERVAL: Duration = Duration::from_secs(60);
const SHORTEST_INTERVAL: Duration = Duration::from_secs(10);

pub(super) fn read(
    analysis: &mut Fields,
    tried: Tried,
    is_skipped: bool,
    notes: &mut Notes,
) -> Plan {
    let interval = interval(analysis, notes);
    let iterations = analysis.whole("iterations", notes).unwrap_or_default();
    let weights = weights(analysis, notes);
    mirror(analysis, notes);
    analysis.lost(
        "stepWeightPromotion",
        "a copy takes a version while everyone is at the challenger, so there is nothing to step",
        notes,
    );
    let ready = "pods are ready when all of them are; scale: matchWeight or full says how many a step needs";
    analysis.all_lost(
        &[
            ("primaryReadyThreshold", ready),
            ("canaryReadyThreshold", ready),
        ],
        notes,
    );
    let held = interval.saturating_mul(u32::try_from(iterations).unwrap_or_default());
    let path = analysis.at("stepWeights");
    let steps = match (is_skipped, tried, iterations > 0) {
        (true, _, _) => {
            notes.said(
                "spec.skipAnalysis",
                "everyone at once, without an analysis; add steps, or preset: emergency",
            );
            vec![Step::of(100.0)]
        }
        (_, Tried::Any, true) => blue_green(&analysis.at("iterations"), iterations, held, notes),
        (_, Tried::Any, false) => progressive(&path, weights, interval, notes),
        (_, Tried::Matching, true) => ab_test(vec![(100.0, held)]),
        (_, Tried::Matching, false) => {
            notes.said(
                &path,
                "the weights are of the requests that match alone, as Flagger routes them; all others keep the former \
                 version until the last step",
            );
            ab_test(held_each(&path, weights, interval, MAX_STEPS - 2, notes))
        }
        (_, Tried::Unknown, _) => asked(&analysis.at("match"), notes),
    };
    Plan {
        steps,
        interval,
        is_watched: !is_skipped,
    }
}

fn interval(analysis: &mut Fields, notes: &mut Notes) -> Duration {
    let Some(text) = analysis.text("interval", notes) else {
        return INTERVAL;
    };
    match length::of_go(&text) {
        Some(interval) => interval.max(SHORTEST_INTERVAL),
        None => {
            let path = analysis.at("interval");
            notes.lost(
                &path,
                format!("{text:.80?} is no length of time; 1m is written, as Flagger takes it"),
            );
            INTERVAL
        }
    }
}

/// The weights of the steps, without that of everyone at the end.
fn weights(analysis: &mut Fields, notes: &mut Notes) -> Vec<f64> {
    let listed = analysis.list("stepWeights", notes);
    let most = analysis.number("maxWeight", notes);
    let step = analysis.number("stepWeight", notes);
    if !listed.is_empty() {
        if step.is_some() {
            notes.lost(
                &analysis.at("stepWeight"),
                "stepWeights are there; so does Flagger",
            );
        }
        return listed.iter().filter_map(Value::as_f64).collect();
    }
    let Some(step) = step.filter(|step| *step >= 1.0) else {
        return most.into_iter().collect();
    };
    let most = most.filter(|most| *most > 0.0).unwrap_or(100.0).min(100.0);
    let mut weights = Vec::new();
    let mut weight = step;
    while weight < most {
        weights.push(weight);
        weight += step;
    }
    weights.push(most);
    weights
}

/// So many weights at most, each with how long it is held.
fn held_each(
    path: &str,
    weights: Vec<f64>,
    interval: Duration,
    most: usize,
    notes: &mut Notes,
) -> Vec<(f64, Duration)> {
    let all = weights.len();
    let every = all.div_ceil(most).max(1);
    if every > 1 {
        notes.said(path, format!("{all} steps are more than {MAX_STEPS}: every {every} of them became one, as long as they"));
    }
    let hold = interval.saturating_mul(u32::try_from(every).unwrap_or(1));
    let last = all.saturating_sub(1);
    let kept = weights.into_iter().enumerate();
    let kept = kept.filter(|(index, _)| (last - index).is_multiple_of(every));
    kept.map(|(_, weight)| (weight, hold)).collect()
}

fn progressive(path: &str, weights: Vec<f64>, interval: Duration, notes: &mut Notes) -> Vec<Step> {
    // One for everyone at the end.
    let held = held_each(path, weights, interval, MAX_STEPS - 1, notes);
    let mut steps: Vec<Step> = held
        .into_iter()
        .map(|(weight, hold)| Step {
            hold,
            ..Step::of(weight)
        })
        .collect();
    if steps.last().is_none_or(|step| step.weight < 100.0) {
        if let Some(step) = steps.last() {
            notes.said(
                path,
                format!(
                    "Flagger promotes at {} %; a Rollout takes everyone to the challenger first, as a last step of 100 %",
                    step.weight
                ),
            );
        }
        steps.push(Step::of(100.0));
    }
    steps
}

/// The weights of those of the rule, then everyone: they themselves too, whose weight goes before
/// everyone's.
fn ab_test(mut held: Vec<(f64, Duration)>) -> Vec<Step> {
    if held.last().is_none_or(|(weight, _)| *weight < 100.0) {
        held.push((100.0, Duration::ZERO));
    }
    let tested = held.into_iter().map(|(weight, hold)| Step {
        audience: Some(AB_TEST.to_owned()),
        hold,
        ..Step::of(weight)
    });
    tested.chain([Step::of(100.0)]).collect()
}

/// Nobody until a person has seen that the version was to be tried on some alone.
fn asked(path: &str, notes: &mut Notes) -> Vec<Step> {
    notes.lost(
        path,
        "only requests that match were to reach the new version, and no rule could be made of them, as said above: \
         nobody has it until somebody approves, then everyone; better write the rule, and steps with its audience",
    );
    let approved = Step {
        approval: true,
        ..Step::of(0.0)
    };
    vec![approved, Step::of(100.0)]
}

fn blue_green(path: &str, iterations: i64, held: Duration, notes: &mut Notes) -> Vec<Step> {
    notes.said(
        path,
        format!(
            "Flagger looks {iterations} times at a version without users, by load that webhooks make; a Rollout judges \
             by users: it waits as long at 0 %, for your tests, then watches as long at 100 %, from where the way back \
             is one write"
        ),
    );
    let of = |weight| Step {
        hold: held,
        ..Step::of(weight)
    };
    vec![of(0.0), of(100.0)]
}

fn mirror(analysis: &mut Fields, notes: &mut Notes) {
    let why = "requests are not mirrored in a run; write `mirror` in the VirtualService for as long as you want it";
    let is_on = analysis.flag("mirror", notes) == Some(true);
    if is_on {
        notes.lost(&analysis.at("mirror"), why);
    }
    let weight = analysis.take("mirrorWeight");
    if weight.is_some() && is_on {
        notes.lost(&analysis.at("mirrorWeight"), why);
    }
}
