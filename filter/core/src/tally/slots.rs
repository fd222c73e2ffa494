//! A place in an array for each number of one split, so that counting is one addition.
//!
//! For an adapter whose threads count apart; what the places mean is the same for all of them, as long
//! as the definition is. Pure.

use super::Count;
use crate::decide::Audience;
use crate::definition::Definition;
use crate::index::{SplitIndex, VariantIndex};

/// Of a status the first digit, and 0 for any other.
const CLASSES: usize = 6;

/// Audiences beside those of rules: everyone, forced, inherited.
const OTHER_AUDIENCES: usize = 3;

/// How many numbers of each kind a split has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slots {
    rules: usize,
    variants: usize,
    sources: usize,
}

impl Slots {
    /// The places of a split's numbers.
    pub fn of(definition: &Definition) -> Self {
        Self {
            rules: definition.rules.len(),
            variants: definition.variants.len(),
            sources: definition.identity.len(),
        }
    }

    /// How many there are: at most 67 audiences and 8 variants twice, 10 sources, 48 classes and one.
    pub const fn len(self) -> usize {
        2 * self.of_audiences() + self.sources + 2 + self.variants * CLASSES + 1
    }

    /// Never: every split counts something.
    pub const fn is_empty(self) -> bool {
        self.len() == 0
    }

    const fn of_audiences(self) -> usize {
        (self.rules + OTHER_AUDIENCES) * self.variants
    }

    /// The place of an audience and variant, among those of one kind: below
    /// [`Slots::audiences_and_variants`].
    #[inline]
    pub fn pair(self, audience: Audience, variant: VariantIndex) -> usize {
        let audience = match audience {
            Audience::Rule(index) => usize::from(index),
            Audience::Everyone => self.rules,
            Audience::Forced => self.rules + 1,
            Audience::Inherited => self.rules + 2,
        };
        audience * self.variants + usize::from(variant)
    }

    /// How many pairs of an audience and a variant there are.
    pub const fn audiences_and_variants(self) -> usize {
        self.of_audiences()
    }

    /// The audience and variant at a place of [`Slots::pair`].
    pub fn audience_and_variant(self, pair: usize) -> (Audience, VariantIndex) {
        let (audience, variant) = (pair / self.variants.max(1), pair % self.variants.max(1));
        let audience = match audience.checked_sub(self.rules) {
            None => Audience::Rule(audience as u8),
            Some(0) => Audience::Everyone,
            Some(1) => Audience::Forced,
            Some(_) => Audience::Inherited,
        };
        (audience, VariantIndex::new(variant as u8))
    }

    /// The place of a number: below [`Slots::len`] for whatever this split counts.
    #[inline]
    pub fn slot(self, count: Count) -> usize {
        let pairs = self.of_audiences();
        match count {
            Count::Decisions {
                audience, variant, ..
            } => self.pair(audience, variant),
            Count::Assignments {
                audience, variant, ..
            } => pairs + self.pair(audience, variant),
            Count::Identity {
                source, is_issued, ..
            } => {
                let source = match source {
                    Some(source) => usize::from(source),
                    None => self.sources + usize::from(is_issued),
                };
                2 * pairs + source
            }
            Count::Responses { variant, class, .. } => {
                let class = Some(usize::from(class)).filter(|class| *class < CLASSES);
                let before = 2 * pairs + self.sources + 2;
                before + usize::from(variant) * CLASSES + class.unwrap_or(0)
            }
            Count::Cut { .. } => self.len() - 1,
        }
    }

    /// What the number at a place counts, of this split.
    pub fn count(self, slot: usize, split: SplitIndex) -> Count {
        let pairs = self.of_audiences();
        if slot < 2 * pairs {
            let (audience, variant) = self.audience_and_variant(slot % pairs);
            return match slot < pairs {
                true => Count::Decisions {
                    split,
                    audience,
                    variant,
                },
                false => Count::Assignments {
                    split,
                    audience,
                    variant,
                },
            };
        }
        let slot = slot - 2 * pairs;
        if slot < self.sources + 2 {
            let source = Some(slot as u8).filter(|_| slot < self.sources);
            return Count::Identity {
                split,
                source,
                is_issued: slot == self.sources + 1,
            };
        }
        let slot = slot - self.sources - 2;
        match slot < self.variants * CLASSES {
            true => Count::Responses {
                split,
                variant: VariantIndex::new((slot / CLASSES) as u8),
                class: (slot % CLASSES) as u8,
            },
            false => Count::Cut { split },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    #[test]
    fn every_place_counts_one_thing_and_everything_has_a_place() {
        let split = SplitIndex::new(3);
        for (rules, variants, sources) in [(0, 2, 0), (2, 3, 2), (64, 8, 9)] {
            let slots = Slots {
                rules,
                variants,
                sources,
            };
            let mut seen = Vec::new();
            for slot in 0..slots.len() {
                let count = slots.count(slot, split);
                assert_eq!(slots.slot(count), slot, "{count:?}");
                assert!(!seen.contains(&count), "{count:?}");
                seen.push(count);
            }
            assert_eq!(seen.last(), Some(&Count::Cut { split }));
        }
    }

    #[test]
    fn a_status_without_a_class_is_counted_as_another_one() {
        let slots = Slots {
            rules: 1,
            variants: 2,
            sources: 1,
        };
        let (split, variant) = (SplitIndex::new(0), VariantIndex::new(1));
        let slot = |class| {
            slots.slot(Count::Responses {
                split,
                variant,
                class,
            })
        };
        assert_eq!(slot(200), slot(0));
        assert_ne!(slot(5), slot(0));
    }
}
