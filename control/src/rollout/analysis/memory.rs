//! What an analysis remembers between rounds: each check's last value, its failures and its
//! evidence. Small, because it stands in a status: under 12 KB with as many checks as there may be.

use std::fmt::Write as _;

use serde::{Deserialize, Serialize};

use super::Context;
use super::plan::{Basis, Check, Plan, Subject};
use super::reason::{Reason, percent, time};
use super::users::Seen;
use crate::rollout::statistics::newcomers::Newcomers;
use crate::rollout::statistics::{Mixture, Points};

/// What is remembered. Its default is that of a run that has not begun.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Memory {
    /// The step that the evidence is of.
    step: Option<usize>,
    /// The bits of the users who failed in this run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) users: Option<Seen>,
    /// In the order of the plan.
    pub(super) checks: Vec<State>,
}

/// One check, as far as it is known.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct State {
    /// The check's name.
    pub name: String,
    /// What tells its definition from others; 0 in what an earlier version kept.
    #[serde(skip_serializing_if = "is_zero", rename = "of")]
    pub(super) fingerprint: u32,
    /// What the last measurement said.
    pub standing: Standing,
    /// What was measured: a part of 1, seconds, users, or a query's number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value: Option<f64>,
    /// The same of the fallback, where it is compared with.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fallback: Option<f64>,
    /// How far the value is from failing, in the threshold's unit; negative: beyond it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub distance: Option<f64>,
    /// How many measurements of the run failed.
    #[serde(skip_serializing_if = "is_zero")]
    pub failed: u32,
    /// The bucket edge that a latency was judged at, in seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub edge: Option<f64>,
    /// How much evidence there is, where a confidence is asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub evidence: Option<Shown>,
    /// Why it does not simply pass.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<Reason>,
    /// When its query was asked last, in milliseconds since 1970, where it has its own interval.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) asked: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) test: Option<Test>,
}

/// What a measurement said.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Standing {
    /// Neither that it is right nor that it is wrong.
    #[default]
    Hold,
    /// Right.
    Pass,
    /// Wrong.
    Fail,
    /// There is nothing to compare with: it counts as right.
    NotApplicable,
}

/// An e-value, and what it must reach.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Shown {
    /// What it is, to three digits; at most 10^12.
    pub now: f64,
    /// What it must reach.
    pub needed: f64,
}

/// The state of a sequential test.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) enum Test {
    Mixture(Mixture),
    Newcomers(Newcomers),
    Points(Points),
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde gives a reference")]
const fn is_zero(number: &u32) -> bool {
    *number == 0
}

impl Memory {
    /// What is remembered of a check, by its name.
    pub fn state(&self, name: &str) -> Option<&State> {
        self.checks.iter().find(|state| state.name == name)
    }

    /// Each check, in the order of the plan.
    pub fn states(&self) -> &[State] {
        &self.checks
    }

    /// The checks whose definition is another than it was: what they remember is of something else.
    pub fn changed(&self, plan: &Plan) -> Vec<String> {
        let is_another = |check: &&Check| {
            let known = self.state(&check.name);
            known.is_some_and(|known| known.is_of_another(check))
        };
        let changed = plan.checks.iter().filter(is_another);
        changed.map(|check| check.name.clone()).collect()
    }

    /// For a round of this step. In a new one the number of failed measurements stays, and the
    /// evidence of users, who are counted once over steps.
    pub(super) fn for_step(&self, context: &Context<'_>) -> Self {
        let is_same = self.step == Some(context.step);
        let of_check = |check: &Check| {
            let known = self.state(&check.name).cloned();
            let fingerprint = check.fingerprint();
            let known = known.filter(|known| !known.is_of_another(check));
            let known = known.map(|known| State {
                fingerprint,
                ..known
            });
            let named = State {
                name: check.name.clone(),
                fingerprint,
                ..State::default()
            };
            match known {
                Some(known) if is_same => known,
                Some(known) => State {
                    failed: known.failed,
                    asked: known.asked,
                    test: known.test.filter(|_| check.subject == Subject::FailedUsers),
                    ..named
                },
                None => named,
            }
        };
        Self {
            step: Some(context.step),
            users: self.users.clone(),
            checks: context.plan.checks.iter().map(of_check).collect(),
        }
    }
}

impl State {
    fn is_of_another(&self, check: &Check) -> bool {
        ![0, check.fingerprint()].contains(&self.fingerprint)
    }

    /// A line for people: what was measured, against what, and why it does not pass.
    pub fn line(&self, check: &Check) -> String {
        let mut line = check.name.clone();
        let mut add = |text: std::fmt::Arguments<'_>| {
            // Writing to a String cannot fail.
            let _ = line.write_fmt(text);
        };
        if let Some(value) = self.value {
            add(format_args!(": {}", shown(check, value)));
        }
        if let Some(fallback) = self.fallback {
            add(format_args!(", fallback {}", shown(check, fallback)));
        }
        match (check.fail, check.pass) {
            (Some(fail), _) => add(format_args!(", fails at {fail}")),
            (None, Some(pass)) => add(format_args!(", passes at {pass}")),
            (None, None) => {}
        }
        if let Some(edge) = self.edge {
            add(format_args!(", judged at the bucket edge {}", time(edge)));
        }
        if let Some(Shown { now, needed }) = self.evidence {
            let (now, needed) = (short(now), short(needed));
            add(format_args!(", evidence {now} of {needed} needed"));
        }
        if let Some(reason) = &self.reason {
            add(format_args!(": {reason}"));
        }
        if self.standing == Standing::Fail && check.failure_limit > 0 {
            let (failed, limit) = (self.failed, check.failure_limit);
            add(format_args!(
                "; {failed} failed measurements, {limit} allowed"
            ));
        }
        line
    }

    /// Sets figures, to six digits: more is noise, and a status is short.
    pub(super) fn set(&mut self, value: f64, fallback: Option<f64>, distance: Option<f64>) {
        self.value = digits(value, 6);
        self.fallback = fallback.and_then(|value| digits(value, 6));
        self.distance = distance.and_then(|value| digits(value, 6));
    }
}

/// Rounded to so many digits; `None` where it is no number that JSON has.
pub(super) fn digits(value: f64, digits: i32) -> Option<f64> {
    if value == 0.0 || !value.is_finite() {
        return value.is_finite().then_some(0.0);
    }
    let scale = 10_f64.powi(digits - 1 - value.abs().log10().floor() as i32);
    let rounded = (value * scale).round() / scale;
    Some(if rounded.is_finite() { rounded } else { value })
}

/// A number of few digits without a row of zeros before or behind them.
fn short(number: f64) -> String {
    match number {
        0.0 | 0.001..1e6 => number.to_string(),
        _ => format!("{number:e}"),
    }
}

fn shown(check: &Check, value: f64) -> String {
    match (&check.subject, check.basis) {
        (Subject::Latency(_), _) => time(value),
        (Subject::FailedUsers, Basis::Fallback) => format!("{} users", value.round()),
        (Subject::Query(_), _) => value.to_string(),
        _ => percent(value),
    }
}
