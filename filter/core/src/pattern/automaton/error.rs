//! Why an expression has no automaton.

use crate::pattern::steps::NoSteps;
use crate::pattern::work::Exhausted;

/// Why an expression has no automaton.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoAutomaton {
    /// It has too many places, or its table would have too many cells.
    TooLarge,
    /// Work was exhausted before it was built.
    Exhausted,
    /// It looks around in a way that RE2 does not have.
    UnknownLook,
}

impl From<Exhausted> for NoAutomaton {
    fn from(_: Exhausted) -> Self {
        Self::Exhausted
    }
}

impl From<NoSteps> for NoAutomaton {
    fn from(error: NoSteps) -> Self {
        match error {
            NoSteps::TooMany => Self::TooLarge,
            NoSteps::Exhausted => Self::Exhausted,
            NoSteps::UnknownLook => Self::UnknownLook,
        }
    }
}
