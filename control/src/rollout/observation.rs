//! What sources give to an analysis: what each variant answered, and what queries said.
//!
//! Plain data. Prometheus, a local Envoy and simulations make it; [`crate::rollout::analysis`]
//! judges it. No event is given twice in [`Arm::since`], which sequential tests stand on.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use sluice_core::users::Users;

/// What came of asking for something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reading<T> {
    /// It was found.
    Value(T),
    /// Nothing is known of it: no series matched. Never zero.
    NoData,
    /// It could not be asked, or the answer is none; why, without secrets.
    Error(String),
}

/// What was seen in one round.
#[derive(Clone, Debug, PartialEq)]
pub struct Observation {
    /// When.
    pub at: Timestamp,
    /// When the round before it was, of the same step: where [`Arm::since`] begins. `None`: this is
    /// the step's first, and `since` is empty.
    pub since: Option<Timestamp>,
    /// What the variants answered. No data: no series of either.
    pub arms: Reading<Arms>,
    /// What the queries said, by the names of their checks; only those that were asked in this round.
    pub queries: BTreeMap<String, Reading<f64>>,
}

/// Both variants, in the same time and seen by the same proxies.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Arms {
    /// The variant that gets users.
    pub challenger: Arm,
    /// The one that serves everybody else.
    pub fallback: Arm,
}

/// What one variant answered.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Arm {
    /// In the last window, but not before the step converged.
    pub window: Increments,
    /// Since the last round of the same step: each event once.
    pub since: Increments,
    /// The users whom all proxies saw since the weights changed, joined; `None` where they are not
    /// counted (`responseMetrics` is off).
    pub users: Option<Users>,
}

/// How much counters rose in some time.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Increments {
    /// Responses.
    pub responses: u64,
    /// Those of class 5xx.
    pub failures: u64,
    /// How long they took: rising edges, the last of them [`Edge::Infinite`], each count with those
    /// of the buckets before it. Empty: unknown.
    pub buckets: Vec<Bucket>,
}

/// A bucket of a histogram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bucket {
    /// The longest time in it.
    pub upper: Edge,
    /// Responses that took at most so long.
    pub count: u64,
}

/// The upper edge of a bucket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Edge {
    /// `le="0.5"`.
    At(Duration),
    /// `le="+Inf"`.
    Infinite,
}
