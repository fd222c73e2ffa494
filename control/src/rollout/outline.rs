//! A Rollout's steps and checks as they are kept for those who look at it: its own spec may be in a file that
//! they do not have.

use serde::{Deserialize, Serialize};
use sluice_core::allocation::Percent;

use super::analysis::Standing;
use super::analysis::plan::Plan;
use super::definition::Step;
use super::resource::Span;
use super::status::Status;

/// A step.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StepLine {
    /// Whose weight.
    pub audience: String,
    /// The challenger's weight.
    pub weight: Percent,
    /// How long at least, as people write it.
    pub hold: String,
    /// Whether it ends only when somebody approves it.
    #[serde(skip_serializing_if = "std::ops::Not::not", default)]
    pub approval: bool,
}

impl StepLine {
    /// Of a step.
    pub fn of(step: &Step) -> Self {
        Self {
            audience: step.audience.clone(),
            weight: step.weight,
            hold: Span::of(step.hold).unwrap_or_default().to_string(),
            approval: step.needs_approval,
        }
    }

    /// How long at least; nothing where that cannot be read.
    pub fn length(&self) -> std::time::Duration {
        let hold: Result<Span, _> = self.hold.parse();
        hold.unwrap_or_default().as_duration()
    }
}

/// A check as it stands.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CheckLine {
    /// What its last measurement said.
    pub standing: Standing,
    /// Its value, what it is judged by, how far that is, and why it does not pass.
    pub text: String,
}

impl CheckLine {
    /// Every check of a run under way, or of the last one, that was measured.
    pub fn all(plan: Option<&Plan>, status: &Status) -> Vec<Self> {
        let (Some(plan), Some(run)) = (plan, &status.run) else {
            return Vec::new();
        };
        let checks = plan.checks.iter();
        let known = checks.filter_map(|check| Some((run.analysis.state(&check.name)?, check)));
        known
            .map(|(state, check)| Self {
                standing: state.standing,
                text: state.line(check),
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn a_hold_is_kept_as_it_would_be_written() {
        for (milliseconds, expected) in [(0, "0s"), (300, "300ms"), (5_430_000, "1h30m30s")] {
            let line = StepLine::of(&Step {
                audience: "everyone".to_owned(),
                weight: Percent::HUNDRED,
                hold: Duration::from_millis(milliseconds),
                needs_approval: false,
            });
            assert_eq!(line.hold, expected);
            assert_eq!(line.length(), Duration::from_millis(milliseconds));
        }
    }
}
