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

    /// The share of failures; none of nothing.
    fn share(self) -> f64 {
        f64::from(self.failed) / f64::from(self.responses.max(1))
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

/// Whether anybody of an audience is given the fallback.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fallback {
    /// Somebody is: it can be compared with.
    Served,
    /// Challengers have all users of the audience.
    ServedToNobody,
}

/// What one audience was answered by a challenger and by the fallback.
#[derive(Clone, Debug)]
pub struct Stratum {
    /// Whether there is something to compare with.
    pub fallback: Fallback,
    /// In each of the last seconds, the current one first.
    pub seconds: Vec<(Answers, Answers)>,
}

impl Stratum {
    fn empty(fallback: Fallback, seconds: u32) -> Self {
        Self {
            fallback,
            seconds: vec![Default::default(); seconds as usize],
        }
    }
}

/// A stratum's sums over some seconds.
#[derive(Clone, Copy, Debug)]
struct Sums {
    is_compared: bool,
    challenger: Answers,
    fallback: Answers,
}

impl Guard {
    /// Whether a challenger is to be taken out, by what it and the fallback answered each audience.
    ///
    /// Judged is the shortest time that has responses enough, then each longer one: a challenger that
    /// was right for long and fails now is found as soon as one that always failed. Judged is each
    /// audience by itself, and all together, where the challenger is compared with what the fallback
    /// would have failed of the same audiences: who is in the canary is no chance where weights differ.
    /// A fallback that is served must have answered somebody in that time, or nothing tells whether it
    /// fails as much. More failures than the fallback's by chance are none.
    ///
    /// ```
    /// use sluice_core::guard::{Answers, Fallback, Guard, Stratum};
    ///
    /// let right = Answers { responses: 50, failed: 0 };
    /// let fails = Answers { responses: 30, failed: 30 };
    /// let everyone = |seconds| [Stratum { fallback: Fallback::Served, seconds }];
    /// let verdict = |seconds| Guard::default().verdict(&everyone(seconds));
    /// assert_eq!(verdict(vec![(fails, right), (right, right)]).unwrap().seconds, 1);
    /// assert_eq!(verdict(vec![(fails, fails), (right, right)]), None);
    /// ```
    pub fn verdict(&self, strata: &[Stratum]) -> Option<Evidence> {
        let sums = |stratum: &Stratum| Sums {
            is_compared: stratum.fallback == Fallback::Served,
            challenger: Answers::default(),
            fallback: Answers::default(),
        };
        let mut sums: Vec<Sums> = strata.iter().map(sums).collect();
        for seconds in 1..=self.within {
            for (sums, stratum) in sums.iter_mut().zip(strata) {
                let second = stratum.seconds.get(seconds as usize - 1);
                let (challenger, fallback) = second.copied().unwrap_or_default();
                sums.challenger = sums.challenger.and(challenger);
                sums.fallback = sums.fallback.and(fallback);
            }
            let alone = sums.chunks(1).find(|alone| self.is_met_by(alone));
            let group = alone.or_else(|| Some(&sums[..]).filter(|all| self.is_met_by(all)));
            if let Some(group) = group {
                let sum = |of: fn(&Sums) -> Answers| {
                    group.iter().map(of).fold(Answers::default(), Answers::and)
                };
                return Some(Evidence {
                    seconds,
                    challenger: sum(|sums| sums.challenger),
                    fallback: sum(|sums| sums.fallback),
                });
            }
        }
        None
    }

    fn is_met_by(&self, group: &[Sums]) -> bool {
        let challengers = group.iter().map(|sums| sums.challenger);
        let challenger = challengers.fold(Answers::default(), Answers::and);
        let failed = u64::from(challenger.failed) * u64::from(Percent::HUNDRED.buckets());
        let wanted = u64::from(self.failures.buckets()) * u64::from(challenger.responses);
        let is_told = |sums: &Sums| {
            !sums.is_compared || sums.challenger.failed == 0 || sums.fallback.responses > 0
        };
        challenger.responses >= self.responses
            && failed >= wanted
            && group.iter().all(is_told)
            && fails_more_than_by_chance(group, f64::from(challenger.failed))
    }
}

/// Whether the fallback's share of failures of the same requests is below half, and the excess is no
/// chance: it is looked at several times a second, for weeks.
fn fails_more_than_by_chance(group: &[Sums], failed: f64) -> bool {
    let (mut expected, mut variance) = (0.0, 0.0);
    for sums in group.iter().filter(|sums| sums.fallback.responses > 0) {
        let (responses, share) = (f64::from(sums.challenger.responses), sums.fallback.share());
        expected += responses * share;
        let share = share.clamp(LEAST_SHARE, 1.0);
        // The challenger's own, and that of the fallback's share.
        let of_both = 1.0 + responses / f64::from(sums.fallback.responses);
        variance += responses * share * (1.0 - share) * of_both;
    }
    2.0 * expected < failed && failed - expected > DEVIATIONS * variance.sqrt()
}

/// How many standard deviations above the fallback's failures. Chosen: where both versions fail a fifth
/// of their requests for hours, none is taken out (guard/tests.rs).
const DEVIATIONS: f64 = 5.0;

/// What a fallback is taken to fail at least, that has not failed yet.
const LEAST_SHARE: f64 = 0.01;

#[cfg(test)]
mod tests;
