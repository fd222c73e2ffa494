//! Counters, added up per request and flushed by whoever owns the clock.
//!
//! A count per request would be a host call per request; here it is one addition. What a flush does
//! with the numbers is the caller's.

pub mod slots;

use std::collections::HashMap;
use std::hash::{Hash, Hasher};

use fnv::FnvBuildHasher;

use crate::decide::{Audience, Decision, Decisions, Reason};
use crate::index::{SplitIndex, VariantIndex};
use crate::plan::Plan;

/// What one number counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Count {
    /// Requests that got a variant.
    Decisions {
        /// The split.
        split: SplitIndex,
        /// The group of users.
        audience: Audience,
        /// The variant.
        variant: VariantIndex,
    },
    /// Anonymous cookies issued.
    Assignments {
        /// The split.
        split: SplitIndex,
        /// The group of users.
        audience: Audience,
        /// The variant.
        variant: VariantIndex,
    },
    /// Where identities came from, or why there was none.
    Identity {
        /// The split.
        split: SplitIndex,
        /// The source's index in the split's identity; `None`: there was none.
        source: Option<u8>,
        /// Whether a new identity was issued instead.
        is_issued: bool,
    },
    /// Responses, with `responseMetrics`.
    Responses {
        /// The split.
        split: SplitIndex,
        /// The variant.
        variant: VariantIndex,
        /// The first digit of the status.
        class: u8,
    },
    /// Requests of which something was absent only because it lies beyond a limit.
    Cut {
        /// The split.
        split: SplitIndex,
    },
}

/// One word: derived, it would be five writes, of which each costs a loop, twice a request and
/// split.
impl Hash for Count {
    fn hash<H: Hasher>(&self, state: &mut H) {
        let (split, kind, rest) = match *self {
            Self::Decisions {
                split,
                audience,
                variant,
            } => (
                split,
                0_u32,
                audience.number() << 8 | u32::from(variant.number()),
            ),
            Self::Assignments {
                split,
                audience,
                variant,
            } => (
                split,
                1,
                audience.number() << 8 | u32::from(variant.number()),
            ),
            Self::Identity {
                split,
                source,
                is_issued,
            } => (
                split,
                2,
                source.map_or(256, u32::from) << 1 | u32::from(is_issued),
            ),
            Self::Responses {
                split,
                variant,
                class,
            } => (
                split,
                3,
                u32::from(variant.number()) << 8 | u32::from(class),
            ),
            Self::Cut { split } => (split, 4, 0),
        };
        // 9 + 8 bits of the rest below 3 of the kind; the split makes the difference between most.
        state.write_u32(u32::from(split.number()) << 20 ^ kind << 17 ^ rest);
    }
}

impl Count {
    /// The split.
    #[inline]
    pub const fn split(&self) -> SplitIndex {
        match *self {
            Self::Decisions { split, .. }
            | Self::Assignments { split, .. }
            | Self::Identity { split, .. }
            | Self::Responses { split, .. }
            | Self::Cut { split } => split,
        }
    }

    /// The metric's name and its labels, in order, without the prefix `sluice_`.
    pub fn labels<'p>(
        &self,
        plan: &'p Plan,
    ) -> Option<(&'static str, Vec<(&'static str, &'p str)>)> {
        let definition = |split| plan.split(split).map(|split| &*split.definition);
        Some(match *self {
            Self::Decisions {
                split,
                audience,
                variant,
            }
            | Self::Assignments {
                split,
                audience,
                variant,
            } => {
                let name = if matches!(self, Self::Decisions { .. }) {
                    "decisions_total"
                } else {
                    "assignments_total"
                };
                let audience = audience.name(definition(split)?);
                let labels = vec![
                    ("split", definition(split)?.name.as_ref()),
                    ("audience", audience),
                    ("variant", definition(split)?.variant_name(variant)),
                ];
                (name, labels)
            }
            Self::Identity {
                split,
                source,
                is_issued,
            } => {
                let source = match source {
                    Some(index) => definition(split)?
                        .identity
                        .get(usize::from(index))
                        .map_or("none", |source| source.kind()),
                    None if is_issued => "issued",
                    None => "none",
                };
                (
                    "identity_total",
                    vec![
                        ("split", definition(split)?.name.as_ref()),
                        ("source", source),
                    ],
                )
            }
            Self::Responses {
                split,
                variant,
                class,
            } => {
                const CLASSES: [&str; 6] = ["other", "1xx", "2xx", "3xx", "4xx", "5xx"];
                let class = CLASSES.get(usize::from(class)).copied().unwrap_or("other");
                let labels = vec![
                    ("split", definition(split)?.name.as_ref()),
                    ("variant", definition(split)?.variant_name(variant)),
                    ("class", class),
                ];
                ("responses_total", labels)
            }
            Self::Cut { split } => (
                "cut_total",
                vec![("split", definition(split)?.name.as_ref())],
            ),
        })
    }
}

/// Names what grows by one with what was decided for one request.
#[inline]
pub fn each_count(decisions: &Decisions, mut count: impl FnMut(Count)) {
    for decision in decisions.iter() {
        counts_of(decision, &mut count);
    }
}

#[inline]
fn counts_of(decision: &Decision, count: &mut impl FnMut(Count)) {
    let Decision {
        split, audience, ..
    } = *decision;
    if decision.is_cut {
        count(Count::Cut { split });
    }
    let Some(variant) = decision.variant else {
        return;
    };
    count(Count::Decisions {
        split,
        audience,
        variant,
    });
    let is_issued = decision.reason == Reason::Issued;
    if is_issued {
        count(Count::Assignments {
            split,
            audience,
            variant,
        });
    }
    if !matches!(
        decision.reason,
        Reason::Forced | Reason::Inherited | Reason::Broken
    ) {
        count(Count::Identity {
            split,
            source: decision.identity,
            is_issued,
        });
    }
}

/// Numbers since the last flush.
#[derive(Clone, Debug, Default)]
pub struct Tally(HashMap<Count, u64, FnvBuildHasher>);

impl Tally {
    /// Counts what was decided for one request.
    pub fn add(&mut self, decisions: &Decisions) {
        each_count(decisions, |count| self.increment(count));
    }

    /// Adds one.
    pub fn increment(&mut self, count: Count) {
        self.increase(count, 1);
    }

    /// Adds so many.
    pub fn increase(&mut self, count: Count, by: u64) {
        let number = self.0.entry(count).or_default();
        *number = number.saturating_add(by);
    }

    /// Whether nothing was counted since the last flush.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Hands out every number and begins again at zero.
    pub fn flush(&mut self, mut each: impl FnMut(Count, u64)) {
        for (count, number) in self.0.drain() {
            each(count, number);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    #[test]
    fn numbers_add_up_and_begin_again_after_a_flush() {
        let mut tally = Tally::default();
        let count = Count::Responses {
            split: SplitIndex::new(0),
            variant: VariantIndex::new(1),
            class: 2,
        };
        tally.increment(count);
        tally.increment(count);
        let mut flushed = Vec::new();
        tally.flush(|count, number| flushed.push((count, number)));
        tally.flush(|_, _| panic!("flushed twice"));
        assert_eq!(flushed, [(count, 2)]);
    }
}
