//! Whom a source observes, and when.

use std::time::Duration;

use jiff::Timestamp;
use sluice_core::plan::Plan;

use crate::rollout::analysis::plan::Check;

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
