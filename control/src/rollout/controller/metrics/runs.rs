//! How each Rollout's run is watched, as metrics: whom it moves, whom it reached, what its checks
//! say beside their thresholds, and how long its step is held.
//!
//! Everything is read from what the controller knows anyway; nothing is asked. Called when somebody
//! asks for the metrics.

use std::fmt;

use prometheus_client::encoding::{DescriptorEncoder, MetricEncoder};

use crate::rollout::analysis::State;
use crate::rollout::controller::gauges::{Labels, each, gauge};
use crate::rollout::controller::index::{Index, Known, Limit};
use crate::rollout::status::{RunUsers, Stage};

/// Tells all of it.
pub(super) fn encode(index: &Index, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
    let info = gauge(
        encoder,
        "sluice_rollout_info",
        "1; which split a Rollout is of, and which challenger its run moves",
    )?;
    each(index, info, |known| vec![(moved(known), 1.0)])?;
    let valid = gauge(
        encoder,
        "sluice_rollout_spec_valid",
        "Whether a Rollout can be run as its spec is written",
    )?;
    each(index, valid, |known| {
        vec![(Vec::new(), f64::from(u8::from(known.is_right)))]
    })?;
    let until = gauge(
        encoder,
        "sluice_rollout_hold_until_timestamp_seconds",
        "When the hold of a step under way is over, in seconds since 1970",
    )?;
    each(index, until, |known| {
        hold_until(known)
            .map(|until| (Vec::new(), until))
            .into_iter()
            .collect()
    })?;
    users(index, encoder)?;
    checks(index, encoder)
}

fn moved(known: &Known) -> Labels {
    let summary = known.summary.as_ref();
    let run = known.status.under_way();
    let split = run.map(|run| run.split.clone());
    let split = split.or_else(|| summary.map(|summary| summary.split.clone()));
    let challenger = run.map(|run| run.challenger.clone());
    let challenger = challenger.or_else(|| summary?.challenger.clone());
    vec![
        ("sluice_split", split.unwrap_or_default()),
        ("sluice_variant", challenger.unwrap_or_default()),
    ]
}

fn hold_until(known: &Known) -> Option<f64> {
    let run = known.status.under_way()?;
    let converged = run.converged.filter(|_| run.stage == Stage::Holding)?;
    let hold = known.holds.get(run.step)?;
    Some(converged.as_second() as f64 + *hold as f64)
}

/// Whom runs under way reached.
fn users(index: &Index, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
    let told: [(&str, &str, fn(&RunUsers) -> u64); 2] = [
        (
            "sluice_rollout_users",
            "Users whom a run under way reached since its weights last changed; an estimate",
            |users| users.reached,
        ),
        (
            "sluice_rollout_failed_users",
            "Those of them who saw a failure; an estimate",
            |users| users.failed,
        ),
    ];
    for (name, help, of) in told {
        let encoder = gauge(encoder, name, help)?;
        each(index, encoder, |known| {
            let run = known.status.under_way();
            let users = run.and_then(|run| run.users.as_ref()).into_iter();
            let told = |users: &RunUsers| {
                let audience = ("audience", users.audience.clone());
                (vec![audience], of(users) as f64)
            };
            users.map(told).collect()
        })?;
    }
    Ok(())
}

/// What the checks of runs under way say.
fn checks(index: &Index, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
    let told: [(&str, &str, fn(&State) -> Option<f64>); 4] = [
        (
            "sluice_rollout_check_value",
            "What a check measured last: a part of 1, seconds, users, or a query's number",
            |state| state.value,
        ),
        (
            "sluice_rollout_check_distance",
            "How far that is from failing, in the threshold's unit; negative: beyond it",
            |state| state.distance,
        ),
        (
            "sluice_rollout_check_evidence",
            "The evidence against the challenger, as a part of what fails the check",
            |state| state.evidence.map(|shown| shown.now / shown.needed),
        ),
        (
            "sluice_rollout_check_failures",
            "How many measurements of the run failed",
            |state| Some(f64::from(state.failed)),
        ),
    ];
    for (name, help, of) in told {
        let encoder: MetricEncoder<'_> = gauge(encoder, name, help)?;
        each(index, encoder, |known| {
            let run = known.status.under_way().into_iter();
            let states = run.flat_map(|run| run.analysis.states());
            let value = |state: &State| Some((vec![("check", state.name.clone())], of(state)?));
            states.filter_map(value).collect()
        })?;
    }
    let thresholds = gauge(
        encoder,
        "sluice_rollout_check_threshold",
        "Where a check of a run under way passes or fails, in the unit of its value",
    )?;
    each(index, thresholds, |known| {
        let limits = known.status.under_way().map(|_| known.limits.iter());
        let told = |limit: &Limit| {
            let check = ("check", limit.check.clone());
            let bound = ("bound", limit.bound.to_owned());
            (vec![check, bound], limit.value)
        };
        limits.into_iter().flatten().map(told).collect()
    })
}
