//! One mistake in a configuration: where, what was found, what is accepted.
//!
//! The same text stands in Envoy's log and in `sluice validate`. Collected, never thrown: [`crate::plan`] and
//! [`crate::definition`] report every problem of a document at once.

use std::fmt;

/// One mistake in a configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Where: the user's own field path, such as `splits.web.rules[0].name`.
    pub path: String,
    /// What was found there.
    pub found: String,
    /// What is accepted there.
    pub accepted: String,
}

impl Problem {
    /// A problem at `path`: `found` stands there, `accepted` would be right.
    pub fn new(
        path: impl Into<String>,
        found: impl Into<String>,
        accepted: impl Into<String>,
    ) -> Self {
        Self {
            path: path.into(),
            found: found.into(),
            accepted: accepted.into(),
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}; {}", self.path, self.found, self.accepted)
    }
}
