//! A Deployment whose template is the version, as people write it.

use std::borrow::Cow;

use schemars::JsonSchema;
use serde_json::Value;
use sluice_core::decode::{Decode, mismatch};
use sluice_core::problem::Problem;

use super::fields::{fields, names};
use super::units::Span;

/// The most runs that a rollback window has. Chosen: as many as a status has lines of.
pub const MAX_WINDOW_RUNS: u32 = 10;

fields! {
    /// The Deployment whose pod template is the version: another template begins a run.
    #[derive(Default)]
    #[schemars(default)]
    pub struct Workload, accepted as "a map" {
        /// Its name, in the Rollout's namespace. Its pods are the challenger; a copy of it, NAME-stable, has those of
        /// everybody else.
        #[schemars(length(min = 1, max = 246))]
        "deployment" => deployment: String,
        /// How many pods the challenger gets in a run. Default: matchWeight.
        "scale" => scale: Scale,
        /// How long pods may take to get ready before the run fails. Default: 10m.
        "progressDeadline" => progress_deadline: Option<Span>,
        /// How long the challenger's pods stay after its last user. Default: 30s.
        "drain" => drain: Option<Span>,
        /// Which templates go straight to the last step. Default: none.
        "rollbackWindow" => rollback_window: Option<RollbackWindow>,
        /// What counts as promoted where there is no copy yet. Default: adopt.
        "onFirstSight" => on_first_sight: FirstSight,
        /// The Service, in the Rollout's namespace, whose pods are those that serve everyone: for clients that are not
        /// routed by a header. Each step gives everyone 0 or 100 %.
        #[schemars(length(min = 1, max = 63))]
        "activeService" => active_service: Option<String>,
        /// The Service, in the Rollout's namespace, whose pods are the challenger's. Each step gives everyone 0 or 100 %.
        #[schemars(length(min = 1, max = 63))]
        "previewService" => preview_service: Option<String>,
    }
}

names! {
    /// What counts as promoted where there is no copy yet.
    #[derive(Default)]
    pub enum FirstSight, accepted as "what is done at first sight" {
        /// The template that the Deployment has.
        #[default]
        "adopt" => Adopt,
        /// Nothing: the copy is made of that template, and it is judged by a run of all steps.
        "run" => Run,
    }
}

fields! {
    /// Templates that everyone had, and that go straight to the last step, without holds, approvals and analysis.
    #[derive(Default)]
    #[schemars(default)]
    pub struct RollbackWindow, accepted as "a map" {
        /// Those that everyone had before one of the last so many runs.
        "runs" => runs: Option<Runs>,
    }
}

/// How many runs: 1 to 10.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Runs(pub u32);

impl Decode for Runs {
    fn accepted() -> Cow<'static, str> {
        "a whole number of 1 to 10".into()
    }

    fn decode(path: &str, value: &Value, problems: &mut Vec<Problem>) -> Option<Self> {
        let number = value.as_u64().and_then(|number| number.try_into().ok());
        let runs = number.filter(|number| (1..=MAX_WINDOW_RUNS).contains(number));
        if runs.is_none() {
            problems.push(mismatch(path, value, Self::accepted()));
        }
        runs.map(Self)
    }
}

impl JsonSchema for Runs {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Runs".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({"type": "integer", "minimum": 1, "maximum": 10})
    }
}

names! {
    /// How many pods the challenger gets in a run.
    #[derive(Default)]
    pub enum Scale, accepted as "how a challenger is scaled" {
        /// As many of every hundred of the copy's as the step's weight of everyone, and at least one.
        #[default]
        "matchWeight" => MatchWeight,
        /// As many as the copy has.
        "full" => Full,
    }
}
