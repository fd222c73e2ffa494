//! Whom a source observes, when, and what it was asked for that.

use std::time::Duration;

use jiff::Timestamp;
use sluice_core::plan::Plan;

use crate::rollout::analysis::plan::Check;
use crate::rollout::observation::Observation;

/// Whom a source observes: one challenger of one split, and what it is compared with.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Target {
    /// The plugin's namespace; empty of a directory.
    pub namespace: String,
    /// The plugin's name.
    pub plugin: String,
    /// The split.
    pub split: String,
    /// Whose weight moves.
    pub audience: String,
    /// The variant that gets users.
    pub challenger: String,
    /// The one that serves everybody else.
    pub fallback: String,
    /// Which version the challenger is.
    pub version: Option<String>,
    /// What the filter's metrics call the plugin (`sluice_plugin`).
    pub plugin_names: Vec<String>,
}

/// One round of observations.
#[derive(Clone, Copy, Debug)]
pub struct Round<'r> {
    /// When it is.
    pub at: Timestamp,
    /// When the step's proxies had converged: no window looks further back.
    pub converged: Timestamp,
    /// When the round before it was, of the same step.
    pub since: Option<Timestamp>,
    /// The plugin's plan now, which says since when users are counted.
    pub plan: &'r Plan,
    /// The checks that are due.
    pub checks: &'r [&'r Check],
    /// How far back a value looks.
    pub window: Duration,
    /// How often rounds are made.
    pub interval: Duration,
}

impl Round<'_> {
    /// Where the window begins.
    pub(super) fn window_from(&self) -> Timestamp {
        // Only a time before the year -9999 has no such beginning.
        let from = self.at.checked_sub(self.window).unwrap_or(self.converged);
        from.max(self.converged)
    }

    /// The earliest time that this round must know of.
    pub(super) fn from(&self) -> Timestamp {
        let from = self.window_from();
        self.since.map_or(from, |since| since.min(from))
    }
}

/// What a query is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// How many responses there were, and how many failed.
    Responses,
    /// How long they took.
    Times,
    /// Which proxies run the filter, and since when.
    Proxies,
    /// Who was served and who saw a failure.
    Users,
    /// The number of the check with this name.
    Check(String),
}

/// A query, and why it gave nothing where it failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    /// What it is for.
    pub purpose: Purpose,
    /// As it was asked.
    pub query: String,
    /// What went wrong with it, without secrets.
    pub trouble: Option<String>,
}

/// What came of a round.
#[derive(Clone, Debug, PartialEq)]
pub struct Observed {
    /// What was seen.
    pub observation: Observation,
    /// What was asked for it; nothing of a local Envoy, which has one page for all.
    pub asked: Vec<Asked>,
}
