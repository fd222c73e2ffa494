//! What one VM saw of guarded splits since its last flush.

use std::collections::HashMap;
use std::time::Duration;

use fnv::FnvBuildHasher;

use super::marks::mark;
use super::seconds::Seconds;
use super::shared;
use super::trips::{self, Trip};
use crate::bucket::Point;
use crate::decide::Audience;
use crate::host::Host;
use crate::index::{SplitIndex, VariantIndex};
use crate::plan::Plan;
use crate::users::Outcome;

/// One response of a guarded split.
#[derive(Clone, Copy, Debug)]
pub struct Seen {
    /// The split.
    pub split: SplitIndex,
    /// The group of users.
    pub audience: Audience,
    /// Who answered.
    pub variant: VariantIndex,
    /// Who was answered, where that is known.
    pub user: Option<Point>,
    /// How.
    pub outcome: Outcome,
    /// When, since the epoch.
    pub at: Duration,
}

impl Seen {
    /// What of it is kept, of a user who is known, in two words: what an adapter can hand from one
    /// thread to another.
    pub fn words(&self, user: Point) -> [u64; 2] {
        let place = u64::from(self.split.number()) << 16
            | u64::from(self.audience.number()) << 4
            | u64::from(self.variant.number());
        let mark = u64::from(mark(user, self.outcome));
        [place, self.at.as_secs() << 32 | mark]
    }
}

/// The responses of guarded splits since the last flush.
#[derive(Default)]
pub struct Watch {
    fresh: HashMap<SplitIndex, Seconds, FnvBuildHasher>,
    /// How many responses had no identity, so that each is one of its own.
    nameless: u32,
}

impl Watch {
    /// Counts a response.
    pub(crate) fn add(&mut self, seen: &Seen) {
        let user = seen.user.unwrap_or_else(|| {
            self.nameless = self.nameless.wrapping_add(1);
            nobody(self.nameless, seen.at)
        });
        let mark = mark(user, seen.outcome);
        let seconds = self.fresh.entry(seen.split).or_default();
        seconds.add(seen.at.as_secs(), seen.audience, seen.variant, mark);
    }

    /// Counts what [`Seen::words`] says.
    pub(crate) fn add_words(&mut self, [place, seen]: [u64; 2]) {
        let Some(audience) = Audience::of_number((place >> 4) as u32 & 0xfff) else {
            return;
        };
        let (split, variant) = ((place >> 16) as u16, place as u8 & 0xf);
        let seconds = self.fresh.entry(SplitIndex::new(split)).or_default();
        seconds.add(
            seen >> 32,
            audience,
            VariantIndex::new(variant),
            seen as u32,
        );
    }

    /// Joins what is new with what the proxy's other VMs saw, and takes challengers out that fail.
    /// Whether it took any out.
    pub(crate) fn flush<H: Host>(&mut self, host: &H, plugin: &str, plan: &Plan) -> bool {
        let mut has_tripped = false;
        for (index, fresh) in std::mem::take(&mut self.fresh) {
            let Some(split) = plan.split(index) else {
                continue;
            };
            let Some(verdicts) = shared::judge(host, plugin, split, &fresh) else {
                self.fresh.insert(index, fresh);
                continue;
            };
            for (variant, evidence) in verdicts {
                let trip = Trip {
                    split,
                    variant,
                    evidence,
                };
                has_tripped |= trips::keep(host, plugin, &trip);
            }
        }
        has_tripped
    }
}

/// An identity that nobody else has: neither another response, by its number among those without one,
/// nor one of another thread, which sees another nanosecond.
pub fn nobody(number: u32, at: Duration) -> Point {
    Point::of_random(number.wrapping_mul(0x9e37_79b9) ^ at.subsec_nanos())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    #[test]
    fn a_response_is_the_same_when_it_comes_in_words() {
        let audiences = [
            Audience::Everyone,
            Audience::Rule(63),
            Audience::Forced,
            Audience::Inherited,
        ];
        for (number, audience) in (0..).zip(audiences) {
            for outcome in [Outcome::Answered, Outcome::Failed] {
                let user = Point::of_random(0x1234_5678 + number);
                let seen = Seen {
                    split: SplitIndex::new(999),
                    audience,
                    variant: VariantIndex::new(7),
                    user: Some(user),
                    outcome,
                    at: Duration::from_secs(1_764_000_000),
                };
                let (mut direct, mut handed) = (Watch::default(), Watch::default());
                direct.add(&seen);
                handed.add_words(seen.words(user));
                assert_eq!(direct.fresh, handed.fresh, "{audience:?} {outcome:?}");
                assert_eq!(direct.fresh.len(), 1);
            }
        }
    }
}
