//! Which users failed since the last round, of bits that all proxies share.
//!
//! The bits that were ever seen in a step are remembered, not only how many: so a proxy that
//! disappears and takes its bits along takes no evidence with it, and none is counted twice.

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sluice_core::users::{FAILED_BITS, FAILED_WORDS, Users};

use crate::rollout::observation::{Observation, Reading};

/// The bits of the users of both variants who failed in this step.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Seen {
    challenger: Bits,
    fallback: Bits,
    /// How many were set when the step converged: of the challenger, of the fallback.
    base: (u32, u32),
}

/// What a round added.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Newly {
    pub(super) challenger: Arm,
    pub(super) fallback: Arm,
}

/// One variant.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Arm {
    /// Bits that were not set before.
    pub(super) events: u32,
    /// The part of all bits that could still be set, before this round and after it.
    pub(super) unset: (f64, f64),
    /// Users who failed in the step, as linear counting has it.
    pub(super) failed: f64,
}

/// Joins what the proxies have with what was seen. The first round that sees users is the base, and
/// has no events. `None`: users are not known.
pub(super) fn newly_failed(seen: &mut Option<Seen>, observation: &Observation) -> Option<Newly> {
    let Reading::Value(arms) = &observation.arms else {
        return None;
    };
    let challenger = Bits::of(arms.challenger.users.as_ref()?);
    let fallback = Bits::of(arms.fallback.users.as_ref()?);
    let seen = seen.get_or_insert_with(|| Seen {
        base: (challenger.count(), fallback.count()),
        challenger: challenger.clone(),
        fallback: fallback.clone(),
    });
    Some(Newly {
        challenger: seen.challenger.join(&challenger, seen.base.0),
        fallback: seen.fallback.join(&fallback, seen.base.1),
    })
}

#[derive(Clone, Debug, Default, PartialEq)]
struct Bits([u64; FAILED_WORDS]);

impl Bits {
    fn of(users: &Users) -> Self {
        Self(users.failed_words())
    }

    fn count(&self) -> u32 {
        self.0.iter().map(|word| word.count_ones()).sum()
    }

    fn join(&mut self, now: &Self, base: u32) -> Arm {
        let before = self.count();
        for (own, word) in self.0.iter_mut().zip(now.0) {
            *own |= word;
        }
        let after = self.count();
        let unset = |count: u32| 1.0 - f64::from(count) / FAILED_BITS as f64;
        // Whang, Vander-Zanden and Taylor (1990), of what could be set at the base. The last bit
        // stands for all beyond.
        let left = unset(after).max(1.0 / FAILED_BITS as f64);
        Arm {
            events: after - before,
            unset: (unset(before), unset(after)),
            failed: (FAILED_BITS as f64 * (unset(base) / left).ln()).max(0.0),
        }
    }
}

/// Words in hexadecimal with points between: few users who failed are short.
impl Serialize for Bits {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let word = |word: &u64| match word {
            0 => String::new(),
            word => format!("{word:x}"),
        };
        let words: Vec<String> = self.0.iter().map(word).collect();
        serializer.serialize_str(words.join(".").trim_end_matches('.'))
    }
}

impl<'de> Deserialize<'de> for Bits {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let mut bits = Self::default();
        let mut words = text.split('.');
        for (own, word) in bits.0.iter_mut().zip(words.by_ref()) {
            let parsed = match word {
                "" => Ok(0),
                word => u64::from_str_radix(word, 16),
            };
            *own = parsed.map_err(serde::de::Error::custom)?;
        }
        match words.next() {
            Some(_) => Err(serde::de::Error::custom("more words than there are")),
            None => Ok(bits),
        }
    }
}
