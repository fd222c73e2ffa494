//! How a run is watched: what is written, checked ([`plan`]), and what is observed, judged
//! ([`judge`]).
//!
//! Pure and deterministic: what is known comes in as arguments, what is to be remembered goes out as
//! [`Memory`], and a verdict is all that the engine asks for. docs/analysis.md has the rules in words.

mod decide;
mod evidence;
mod latency;
mod measure;
mod memory;
pub mod plan;
mod rates;
mod reason;
mod slow;
mod users;

use jiff::Timestamp;

use crate::rollout::observation::{Arms, Observation, Reading};
use crate::rollout::statistics::needed;
use plan::{Check, Plan, Role, Subject};
use users::Since;

pub use memory::{Memory, Shown, Standing, State};
pub use reason::Reason;

/// What an analysis stands on in one round.
#[derive(Clone, Copy, Debug)]
pub struct Context<'c> {
    /// How the run is watched.
    pub plan: &'c Plan,
    /// Which step it is, from 0: evidence begins anew with each.
    pub step: usize,
    /// How many steps the run has.
    pub steps: usize,
    /// Who has how much of the users.
    pub exposures: Exposures,
}

/// The parts of the users that each variant has by its weight.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Exposures {
    /// The challenger's, 0 to 1.
    pub challenger: f64,
    /// The fallback's, 0 to 1; 0 at 100 percent, where nothing is compared with it.
    pub fallback: f64,
}

/// What came of a round.
#[derive(Clone, Debug, PartialEq)]
pub struct Judged {
    /// For the next round, and for a status.
    pub memory: Memory,
    /// The checks that began anew, because their definition changed.
    pub anew: Vec<String>,
    /// For the engine.
    pub verdict: Verdict,
}

/// Whether a run may go on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Every check passed.
    Pass,
    /// The step must not end yet; why, a line for each check.
    Hold {
        /// A line each.
        reasons: Vec<String>,
    },
    /// The run failed.
    Fail {
        /// The first check that failed it.
        check: String,
        /// A line for each that did.
        reasons: Vec<String>,
    },
}

/// Judges one round by what the rounds before it left.
pub fn judge(context: Context<'_>, memory: &Memory, observation: &Observation) -> Judged {
    let anew = memory.changed(context.plan);
    let mut memory = memory.for_step(&context);
    let round = Round {
        context,
        observation,
        users: users::newly_failed(&mut memory.users, context.step, observation),
    };
    for (check, state) in context.plan.checks.iter().zip(&mut memory.checks) {
        measure::measure(check, &round, state);
    }
    let verdict = verdict(context.plan, &memory);
    Judged {
        memory,
        anew,
        verdict,
    }
}

/// The checks whose queries are to be asked in a round at this time.
pub fn due<'p>(
    plan: &'p Plan,
    memory: &Memory,
    at: Timestamp,
) -> impl Iterator<Item = (&'p Check, &'p str)> {
    let asked = |check: &Check| memory.state(&check.name).and_then(|state| state.asked);
    let is_due = move |check: &Check| match (check.interval, asked(check)) {
        (Some(interval), Some(asked)) => {
            let past = at.as_millisecond().saturating_sub(asked);
            // A time that is still to come was written by a clock that was ahead.
            u128::try_from(past).map_or(true, |past| past >= interval.as_millis())
        }
        _ => true,
    };
    let queries = plan.checks.iter().filter_map(|check| match &check.subject {
        Subject::Query(query) => Some((check, query.as_str())),
        _ => None,
    });
    let due: Vec<_> = queries.filter(|(check, _)| is_due(check)).collect();
    due.into_iter()
}

/// What all checks of a round share.
struct Round<'r> {
    context: Context<'r>,
    observation: &'r Observation,
    users: Option<users::Newly>,
}

impl Round<'_> {
    fn arms(&self) -> Result<&Arms, Reason> {
        match &self.observation.arms {
            Reading::Value(arms) => Ok(arms),
            Reading::NoData => Err(Reason::NoData),
            Reading::Error(why) => Err(Reason::error(why)),
        }
    }

    /// What a check's e-value must reach, as a logarithm. Each step is judged by itself, and they share
    /// the errors alike. But where users are counted, evidence goes on over steps: nine tenths of the
    /// errors are for what goes on since the run began, and the steps that may have to begin anew
    /// share the rest.
    fn needed(&self, check: &Check, confidence: f64) -> f64 {
        let steps = self.context.steps.max(1) as f64;
        let parts = match (&check.subject, self.users.map(|users| users.since)) {
            (Subject::FailedUsers, _) if steps == 1.0 => 1.0,
            (Subject::FailedUsers, Some(Since::Run) | None) => 1.0 / 0.9,
            (Subject::FailedUsers, Some(_)) => 10.0 * (steps - 1.0),
            _ => steps,
        };
        needed(confidence, self.context.plan.tests() as f64 * parts)
    }
}

/// Fails with the first check that has more failed measurements than its limit; passes when all that
/// decide pass, or do not apply.
fn verdict(plan: &Plan, memory: &Memory) -> Verdict {
    let all = plan.checks.iter().zip(&memory.checks);
    let deciding: Vec<(&Check, &State)> = all
        .filter(|(check, _)| check.role == Role::Decides)
        .collect();
    let is_failed = |(check, state): &&(&Check, &State)| {
        state.standing == Standing::Fail && state.failed > check.failure_limit
    };
    let line = |(check, state): &(&Check, &State)| state.line(check);
    if let Some((check, _)) = deciding.iter().find(is_failed) {
        return Verdict::Fail {
            check: check.name.clone(),
            reasons: deciding.iter().filter(is_failed).map(line).collect(),
        };
    }
    let is_open =
        |(_, state): &&(&Check, &State)| [Standing::Hold, Standing::Fail].contains(&state.standing);
    let reasons: Vec<String> = deciding.iter().filter(is_open).map(line).collect();
    if reasons.is_empty() {
        return Verdict::Pass;
    }
    Verdict::Hold { reasons }
}

#[cfg(test)]
pub(super) mod tests;
