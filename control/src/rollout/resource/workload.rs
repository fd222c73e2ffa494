//! A Deployment whose template is the version, as people write it.

use super::fields::{fields, names};
use super::units::Span;

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
