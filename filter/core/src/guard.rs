//! The guard: when a proxy takes a failing challenger out by itself.
//!
//! Pure: what was seen of each second in, a verdict out. What one VM saw ([`watch`]) is joined with
//! what the proxy's other VMs saw, and judged, by [`shared`]; a verdict is kept, followed by all VMs
//! and ended by [`trips`]. What it does to users is [`crate::plan::Plan::trip`].

mod marks;
mod seconds;
pub mod shared;
pub mod trips;
pub mod watch;

use crate::allocation::Percent;

/// The most responses a guard may wait for; see docs/limits.md.
pub const MAX_RESPONSES: u32 = 1_000;

/// The longest time a guard may look back, in seconds; see docs/limits.md.
pub const MAX_WITHIN: u32 = 60;

/// When a challenger is taken out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Guard {
    /// How many of its responses failed, at least.
    pub failures: Percent,
    /// Of how many responses, at least.
    pub responses: u32,
    /// In which time, in seconds.
    pub within: u32,
}

impl Default for Guard {
    fn default() -> Self {
        Self {
            failures: Percent::of_buckets(50_000).unwrap_or(Percent::HUNDRED),
            responses: 20,
            within: 10,
        }
    }
}

/// Responses of a variant in some time; those to one identity in one second are one, which failed if
/// one of them did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Answers {
    /// How many.
    pub responses: u32,
    /// How many of them failed.
    pub failed: u32,
}

impl Answers {
    fn and(self, other: Self) -> Self {
        Self {
            responses: self.responses.saturating_add(other.responses),
            failed: self.failed.saturating_add(other.failed),
        }
    }

    /// Whether the share of failures is below half of the other's. Nothing at all is none.
    fn fails_less_than_half_of(self, other: Self) -> bool {
        let share = |of: Self, by: Self| u64::from(of.failed) * u64::from(by.responses.max(1));
        2 * share(self, other) < share(other, self)
    }
}

/// Why a challenger was taken out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Evidence {
    /// The last so many seconds.
    pub seconds: u32,
    /// What the challenger answered in them.
    pub challenger: Answers,
    /// What the fallback answered in them.
    pub fallback: Answers,
}

/// Whether anybody is given the fallback.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fallback {
    /// Somebody is: it can be compared with.
    Served,
    /// Every audience has challengers for all of its users.
    ServedToNobody,
}

impl Guard {
    /// Whether a challenger is to be taken out, by what it and the fallback answered in each of the
    /// last seconds, the current one first.
    ///
    /// Judged is the shortest time that has responses enough, then each longer one: a challenger that
    /// was right for long and fails now is found as soon as one that always failed. A fallback that is
    /// served must have answered somebody in that time, or nothing tells whether it fails as much.
    ///
    /// ```
    /// use sluice_core::guard::{Answers, Fallback, Guard};
    ///
    /// let right = Answers { responses: 50, failed: 0 };
    /// let fails = Answers { responses: 30, failed: 30 };
    /// let verdict = |seconds| Guard::default().verdict(Fallback::Served, seconds);
    /// assert_eq!(verdict([(fails, right), (right, right)]).unwrap().seconds, 1);
    /// assert_eq!(verdict([(fails, fails), (right, right)]), None);
    /// ```
    pub fn verdict(
        &self,
        fallback: Fallback,
        seconds: impl IntoIterator<Item = (Answers, Answers)>,
    ) -> Option<Evidence> {
        let (mut challenger, mut compared) = (Answers::default(), Answers::default());
        for ((of_challenger, of_fallback), seconds) in seconds.into_iter().zip(1..=self.within) {
            challenger = challenger.and(of_challenger);
            compared = compared.and(of_fallback);
            let is_told = compared.responses > 0 || fallback == Fallback::ServedToNobody;
            let is_worse = compared.fails_less_than_half_of(challenger);
            if self.is_met_by(challenger) && is_told && is_worse {
                return Some(Evidence {
                    seconds,
                    challenger,
                    fallback: compared,
                });
            }
        }
        None
    }

    fn is_met_by(&self, challenger: Answers) -> bool {
        let failed = u64::from(challenger.failed) * u64::from(Percent::HUNDRED.buckets());
        let wanted = u64::from(self.failures.buckets()) * u64::from(challenger.responses);
        challenger.responses >= self.responses && failed >= wanted
    }
}

#[cfg(test)]
mod tests;
