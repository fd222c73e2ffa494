//! Why a check holds or fails: a fact, and the words for it.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::rollout::cut::cut;

/// The longest error of a source that is remembered, in bytes. Chosen: who was asked, for what, and
/// most of what it said. A long status leaves out more of it.
pub(super) const MAX_ERROR_BYTES: usize = 256;

/// Why a check does not simply pass.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Reason {
    /// So many responses of the challenger, of so many.
    FewRequests(u64, u32),
    /// So many responses of the fallback, of so many.
    FewFallbackRequests(u64, u32),
    /// Nothing is known.
    NoData,
    /// The source failed; how, its beginning.
    Error(String),
    /// A query that was not asked yet.
    NotAsked,
    /// Nobody is on the fallback, or nobody on the challenger.
    NoFallback,
    /// The proxies do not count users.
    NoUsers,
    /// Nearly every bit of the fallback's sketch is set.
    Saturated,
    /// The responses' times are not known.
    NoHistogram,
    /// No bucket ends at this time, in seconds, or above it.
    NoEdge(f64),
    /// The quantile lies between these bucket edges, in seconds, and so does the threshold.
    Straddles(f64, f64),
    /// Both lie above this bucket edge, in seconds, which is the last.
    AboveEdges(f64),
    /// Neither passes nor fails.
    Between,
    /// Beyond what fails.
    Failing,
    /// Not where it passes, and nothing else is said.
    NotPassing,
    /// Chance does not explain it.
    Evidence,
}

impl Reason {
    /// As much of an error as is remembered.
    pub(super) fn error(why: &str) -> Self {
        Self::Error(cut(why, MAX_ERROR_BYTES))
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::FewRequests(seen, needed) => write!(f, "{seen} of {needed} requests"),
            Self::FewFallbackRequests(seen, needed) => {
                write!(f, "{seen} of {needed} requests of the fallback")
            }
            Self::NoData => f.write_str("no data"),
            Self::Error(why) => write!(f, "not measured: {why}"),
            Self::NotAsked => f.write_str("not asked yet"),
            Self::NoFallback => f.write_str("there are not both variants to compare"),
            Self::NoUsers => f.write_str("users are not counted: responseMetrics is off"),
            Self::Saturated => f.write_str("more users fail than can be counted"),
            Self::NoHistogram => f.write_str("how long responses took is not known"),
            Self::NoEdge(at) => write!(f, "no bucket ends at {} or above", time(*at)),
            Self::Straddles(low, high) => write!(
                f,
                "the threshold lies between the bucket edges {} and {}, and so does the value",
                time(*low),
                time(*high)
            ),
            Self::AboveEdges(last) => write!(
                f,
                "the threshold lies above the last bucket edge, {}, and so does the value",
                time(*last)
            ),
            Self::Between => f.write_str("between pass and fail"),
            Self::Failing => f.write_str("failed"),
            Self::NotPassing => f.write_str("not passed"),
            Self::Evidence => f.write_str("failed, and not by chance"),
        }
    }
}

/// Seconds as people write them.
pub(super) fn time(seconds: f64) -> String {
    match seconds {
        seconds if seconds < 1.0 => format!("{}ms", (seconds * 1e6).round() / 1e3),
        seconds => format!("{}s", (seconds * 1e3).round() / 1e3),
    }
}

/// A part of 1 in percent, to three decimals.
pub(super) fn percent(part: f64) -> String {
    format!("{}%", (part * 1e5).round() / 1e3)
}
