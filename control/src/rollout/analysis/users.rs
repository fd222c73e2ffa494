//! Which users failed since the last round, of bits that all proxies share.
//!
//! A bit counts once, whichever variant set it: those that were ever seen are remembered, over steps
//! too. While the challenger is no worse, the next bit is the challenger's with the probability that
//! its weight says, whatever was seen before, because who is where is drawn by a hash: a user who
//! moves and fails again is not new. So evidence may go on over steps; and because both variants run
//! out of the same bits, what is left cancels. A proxy that disappears and takes its bits along takes
//! no evidence with it.

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sluice_core::users::{FAILED_BITS, FAILED_WORDS, Users};

use crate::rollout::observation::{Observation, Reading};

/// A step that finds more bits set than this begins with none set. Chosen: a quarter, up to which
/// hardly any user is lost to a bit that another has set.
const MOST_KEPT: u32 = FAILED_BITS as u32 / 4;

/// The bits of the users who failed, of either variant.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Seen {
    bits: Bits,
    /// The step whose first round was the base last.
    step: usize,
    /// How many bits were set after that round.
    base: u32,
    /// How often it began with none set, after the first time.
    again: u32,
}

/// What a round added.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Newly {
    /// Whether it is a step's first: what it finds is of the time before, and no event.
    pub(super) is_base: bool,
    /// Users of the challenger and of the fallback who were not known to fail.
    pub(super) challenger: u32,
    pub(super) fallback: u32,
    /// Whether evidence goes on, and how much of the errors that are allowed it may use.
    pub(super) since: Since,
    /// The part of the bits that were left when the step began.
    pub(super) unset: f64,
}

/// Since when evidence is gathered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Since {
    /// The run's beginning.
    Run,
    /// This round: too many bits were set.
    Now,
    /// A later step.
    Step,
}

/// Joins what the proxies have with what was seen. The first round of a step is its base, and has no
/// events. `None`: users are not known.
pub(super) fn newly_failed(
    seen: &mut Option<Seen>,
    step: usize,
    observation: &Observation,
) -> Option<Newly> {
    let Reading::Value(arms) = &observation.arms else {
        return None;
    };
    let challenger = Bits::of(arms.challenger.users.as_ref()?);
    let fallback = Bits::of(arms.fallback.users.as_ref()?);
    let is_first = seen.is_none();
    let seen = seen.get_or_insert_default();
    let is_base = is_first || seen.step != step;
    seen.step = step;
    let is_full = is_base && seen.bits.count() > MOST_KEPT;
    if is_full {
        seen.bits = Bits::default();
        seen.again = seen.again.saturating_add(1);
    }
    let (own, others) = seen.bits.join(&challenger, &fallback);
    if is_base {
        seen.base = seen.bits.count();
    }
    Some(Newly {
        is_base,
        challenger: own,
        fallback: others,
        since: match (is_full, seen.again) {
            (true, _) => Since::Now,
            (false, 0) => Since::Run,
            (false, _) => Since::Step,
        },
        unset: 1.0 - f64::from(seen.base) / FAILED_BITS as f64,
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

    /// How many bits are new, of each. One that both set in the same round is nobody's: which of
    /// them was the first is not known.
    fn join(&mut self, challenger: &Self, fallback: &Self) -> (u32, u32) {
        let mut new = (0, 0);
        for (seen, (own, others)) in self.0.iter_mut().zip(challenger.0.iter().zip(fallback.0)) {
            new.0 += (own & !others & !*seen).count_ones();
            new.1 += (others & !own & !*seen).count_ones();
            *seen |= own | others;
        }
        new
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
