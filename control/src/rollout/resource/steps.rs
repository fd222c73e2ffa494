//! Steps and presets as people write them, and what a run does beside moving weights.

use super::fields::{fields, names};
use super::units::{Share, Span, Weight};

/// The most steps a Rollout may have. Chosen: a step for every two percent.
pub const MAX_STEPS: usize = 50;

fields! {
    /// One step: a weight, how long it is held, and whether a person lets the run go on.
    #[derive(Default)]
    #[schemars(default)]
    pub struct Step, accepted as "a step" {
        /// Whose weight: a rule's name, or everyone. Default: the Rollout's audience.
        #[schemars(length(max = 63))]
        "audience" => audience: Option<String>,
        /// The challenger's weight in percent.
        "weight" => weight: Option<Weight>,
        /// How long the step takes at least. Default: 0s.
        "hold" => hold: Option<Span>,
        /// Whether the step ends only when somebody approves it (`sluice rollout approve`).
        "approval" => approval: bool,
    }
}

names! {
    /// Steps that many teams want.
    pub enum Preset, accepted as "a preset" {
        /// 5, 10, 20, 40, 60, 80, 100, held for 2 to 5 minutes each.
        "progressive" => Progressive,
        /// 100 at once, without analysis.
        "emergency" => Emergency,
        /// A preview for one audience, an approval, then everybody, watched for ten minutes.
        "blueGreen" => BlueGreen,
        /// 5, 10, 25, 40, 50, 75, 90, 95, 100 with the checks of a migration.
        "migration" => Migration,
    }
}

names! {
    /// Where a run begins.
    #[derive(Default)]
    pub enum From, accepted as "where a run begins" {
        /// At a weight of 0; where the challenger has users, the run waits.
        #[default]
        "zero" => Zero,
        /// At today's weight: the steps below it are skipped.
        "current" => Current,
    }
}

names! {
    /// What happens when somebody else sets a weight of the run.
    #[derive(Default)]
    pub enum OnHandEdit, accepted as "what happens" {
        /// The run pauses and says who.
        #[default]
        "pause" => Pause,
        /// The challenger's weights become 0 and the run ends.
        "abort" => Abort,
    }
}

names! {
    /// What happens when too few proxies have converged in time.
    #[derive(Default)]
    pub enum Unconverged, accepted as "what happens" {
        /// The run pauses.
        #[default]
        "pause" => Pause,
        /// The challenger's weights become 0 and the run ends.
        "abort" => Abort,
        /// The run goes on as if they had.
        "proceed" => Proceed,
    }
}

fields! {
    /// How many proxies must run a step's weights, and how long the run waits for them.
    #[derive(Default)]
    #[schemars(default)]
    pub struct Converge, accepted as "a map" {
        /// Which part of them at least. Default: 95%.
        "atLeast" => at_least: Option<Share>,
        /// How long the run waits. Default: 2m.
        "within" => within: Option<Span>,
        /// What happens then. Default: pause.
        "else" => otherwise: Unconverged,
    }
}
