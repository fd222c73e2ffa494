//! How each Rollout's run is watched, as metrics: whom it moves, whom it reached, what its checks
//! say beside their thresholds, and how long its step is held.
//!
//! Everything is read from what the controller knows anyway; nothing is asked. Called when somebody
//! asks for the metrics.

use std::cell::Cell;
use std::fmt;

use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric as _, MetricEncoder};
use prometheus_client::metrics::gauge::ConstGauge;

use crate::rollout::analysis::State;
use crate::rollout::controller::gauges::{Labels, each, gauge};
use crate::rollout::controller::index::{Index, Known, Limit};
use crate::rollout::status::{Run, RunUsers, Stage};

/// How many checks of runs under way are told, with at most six series each; see docs/limits.md. Chosen:
/// some 5 MB of metrics, and 200 runs with as many checks as an analysis may have.
const MAX_TOLD_CHECKS: usize = 6_000;

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
    let ended = gauge(
        encoder,
        "sluice_rollout_ended_timestamp_seconds",
        "When the last run ended, in seconds since 1970",
    )?;
    each(index, ended, |known| ended_at(known).into_iter().collect())?;
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

/// When and how the last run ended; nothing while one is under way.
fn ended_at(known: &Known) -> Option<(Labels, f64)> {
    let run = known.status.run.as_ref()?;
    let (ended, ending) = run.ended.zip(run.ending.as_ref())?;
    let outcome = ("outcome", format!("{:?}", ending.outcome));
    (run.stage == Stage::Over).then(|| (vec![outcome], ended.as_second() as f64))
}

/// Whom runs under way reached.
fn users(index: &Index, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
    let told: [(&str, &str, fn(&RunUsers) -> Option<u64>); 3] = [
        (
            "sluice_rollout_users",
            "Users whom a run under way reached since its weights last changed; an estimate",
            |users| Some(users.reached),
        ),
        (
            "sluice_rollout_failed_users",
            "Those of them who saw a failure; an estimate",
            |users| Some(users.failed),
        ),
        (
            "sluice_rollout_audience_users",
            "Users of the audience since then, whatever variant they got; an estimate",
            |users| users.of,
        ),
    ];
    for (name, help, of) in told {
        let encoder = gauge(encoder, name, help)?;
        each(index, encoder, |known| {
            let run = known.status.under_way();
            let users = run.and_then(|run| run.users.as_ref()).into_iter();
            let told = |users: &RunUsers| {
                let audience = ("audience", users.audience.clone());
                Some((vec![audience], of(users)? as f64))
            };
            users.filter_map(told).collect()
        })?;
    }
    Ok(())
}

/// What the checks of runs under way say, of as many as are told. A Rollout's are told together, or not
/// at all.
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
        let room = Room::new();
        each(index, encoder, |known| {
            let run = room.run(known).into_iter();
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
    let room = Room::new();
    each(index, thresholds, |known| {
        let limits = room.run(known).map(|_| known.limits.iter());
        let told = |limit: &Limit| {
            let check = ("check", limit.check.clone());
            let bound = ("bound", limit.bound.to_owned());
            (vec![check, bound], limit.value)
        };
        limits.into_iter().flatten().map(told).collect()
    })?;
    let left_out = gauge(
        encoder,
        "sluice_rollout_checks_left_out",
        "Checks of runs under way that are not told because there are too many",
    )?;
    ConstGauge::new(room.left_out.get() as f64).encode(left_out)
}

/// The room for checks, while those of one Rollout after the other are told.
#[derive(Debug)]
struct Room {
    left: Cell<usize>,
    left_out: Cell<usize>,
}

impl Room {
    fn new() -> Self {
        Self {
            left: Cell::new(MAX_TOLD_CHECKS),
            left_out: Cell::new(0),
        }
    }

    /// The run under way, where there is room for its checks.
    fn run<'k>(&self, known: &'k Known) -> Option<&'k Run> {
        let run = known.status.under_way()?;
        let checks = run.analysis.states().len().max(known.limits.len());
        match self.left.get().checked_sub(checks) {
            Some(left) => {
                self.left.set(left);
                Some(run)
            }
            None => {
                self.left_out.set(self.left_out.get() + checks);
                None
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use prometheus_client::collector::Collector;
    use prometheus_client::encoding::text::encode as text;
    use prometheus_client::registry::Registry;
    use serde_json::{Value, json};
    use std::sync::Mutex;

    #[derive(Debug)]
    struct Runs(Mutex<Index>);

    impl Collector for Runs {
        fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
            encode(&self.0.lock().unwrap(), &mut encoder)
        }
    }

    fn note(index: &Index, name: &str, status: Value) {
        let rollout = json!({
            "metadata": {"name": name, "namespace": "shop"},
            "spec": {"split": "web", "preset": "emergency"}, "status": status,
        });
        index.note(&serde_json::from_value(rollout).unwrap());
    }

    /// The lines of the metrics whose name begins so.
    fn told(index: Index, name: &str) -> Vec<String> {
        let mut registry = Registry::default();
        registry.register_collector(Box::new(Runs(Mutex::new(index))));
        let mut page = String::new();
        text(&mut page, &registry).unwrap();
        let lines = page.lines().filter(|line| line.starts_with(name));
        lines.map(str::to_owned).collect()
    }

    fn run(more: &Value) -> Value {
        let mut run = json!({
            "number": 1, "began": "2026-11-21T00:00:00Z", "since": "2026-11-21T00:00:00Z", "step": 0,
            "stage": "Holding", "weights": {},
        });
        let more = more.as_object().unwrap().clone();
        run.as_object_mut().unwrap().extend(more);
        json!({"phase": "Progressing", "run": run})
    }

    #[test]
    fn when_and_how_a_run_ended_is_told_until_another_one_is_under_way() {
        let ended = json!({
            "stage": "Over", "ended": "2026-11-21T00:20:00Z",
            "ending": {"as": "RolledBack", "message": ""},
        });
        let index = Index::default();
        note(&index, "failed", run(&ended));
        let back = json!({"stage": "GoingBack", "ending": ended["ending"]});
        note(&index, "back", run(&back));
        note(&index, "held", run(&json!({})));
        let expected = "sluice_rollout_ended_timestamp_seconds{sluice_namespace=\"shop\",\
                        rollout=\"failed\",outcome=\"RolledBack\"} 1795220400.0";
        assert_eq!(told(index, "sluice_rollout_ended"), [expected]);
    }

    #[test]
    fn as_many_checks_are_told_as_may_be_and_the_others_are_counted() {
        let of = |checks: usize| {
            let checks = (0..checks).map(|check| json!({"name": check.to_string()}));
            run(&json!({"analysis": {"checks": checks.collect::<Vec<_>>()}}))
        };
        for (last, left_out) in [(1, 0), (2, 2)] {
            let index = Index::default();
            note(&index, "a", of(MAX_TOLD_CHECKS - 1));
            note(&index, "b", of(last));
            let failures = told(index, "sluice_rollout_check");
            let counted = format!("sluice_rollout_checks_left_out {left_out}.0");
            assert_eq!(failures.last(), Some(&counted));
            let is_told = MAX_TOLD_CHECKS - 1 + last - left_out;
            assert_eq!(failures.len(), is_told + 1, "{left_out}");
        }
    }
}
