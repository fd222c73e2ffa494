//! A Canary's weights, iterations and interval as steps.

use std::time::Duration;

use serde_json::Value;

use super::super::fields::Fields;
use super::super::length;
use super::super::notes::Notes;
use super::super::split::has_rule;
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

/// Flagger's own default, and the shortest that it takes (canary.go, GetAnalysisInterval).
const INTERVAL: Duration = Duration::from_secs(60);
const SHORTEST_INTERVAL: Duration = Duration::from_secs(10);

pub(super) fn read(
    analysis: &mut Fields,
    split: &Value,
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
    let is_ab_test = has_rule(split, AB_TEST);
    let steps = match (is_skipped, iterations > 0) {
        (true, _) => {
            notes.said(
                "spec.skipAnalysis",
                "everyone at once, without an analysis; add steps, or preset: emergency",
            );
            vec![Step::of(100.0)]
        }
        (_, true) if is_ab_test => ab_test(held),
        (_, true) => blue_green(&analysis.at("iterations"), iterations, held, notes),
        (_, false) => progressive(&analysis.at("stepWeights"), weights, interval, notes),
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

fn progressive(path: &str, weights: Vec<f64>, interval: Duration, notes: &mut Notes) -> Vec<Step> {
    let all = weights.len();
    // One for everyone at the end.
    let every = all.div_ceil(MAX_STEPS - 1).max(1);
    if every > 1 {
        notes.said(path, format!("{all} steps are more than {MAX_STEPS}: every {every} of them became one, as long as they"));
    }
    let hold = interval.saturating_mul(u32::try_from(every).unwrap_or(1));
    let last = all.saturating_sub(1);
    let kept = weights.into_iter().enumerate();
    let kept = kept.filter(|(index, _)| (last - index).is_multiple_of(every));
    let mut steps: Vec<Step> = kept
        .map(|(_, weight)| Step {
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

fn ab_test(held: Duration) -> Vec<Step> {
    let tested = Step {
        audience: Some(AB_TEST.to_owned()),
        hold: held,
        ..Step::of(100.0)
    };
    vec![tested, Step::of(100.0)]
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
