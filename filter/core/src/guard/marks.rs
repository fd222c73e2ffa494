//! The identities that a variant answered in one second, each once, and which of them failed.

use super::Answers;
use crate::bucket::Point;
use crate::users::Outcome;

/// The most identities of a variant and second that are counted: of more, those whose hashes are the
/// smallest, which is a fair sample whatever came first, and whichever VM saw it. As many as a guard may
/// wait for, so that one second can be enough.
const MAX_MARKS: usize = 1_000;

/// One identity: 31 bits of its hash, and in the lowest bit whether it failed.
pub(super) fn mark(identity: Point, outcome: Outcome) -> u32 {
    let hash = (identity.spread() >> 32) as u32 & !1;
    hash | u32::from(outcome == Outcome::Failed)
}

/// Identities, in order of their hashes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Marks(Vec<u32>);

impl Marks {
    /// Adds an identity, which failed if it ever did.
    pub(super) fn add(&mut self, mark: u32) {
        match self.0.binary_search_by_key(&(mark & !1), |own| own & !1) {
            Ok(at) => {
                if let Some(own) = self.0.get_mut(at) {
                    *own |= mark;
                }
            }
            Err(at) if at < MAX_MARKS => {
                self.0.insert(at, mark);
                self.0.truncate(MAX_MARKS);
            }
            Err(_) => {}
        }
    }

    pub(super) fn join(&mut self, other: &Self) {
        for mark in other.iter() {
            self.add(mark);
        }
    }

    pub(super) fn iter(&self) -> impl ExactSizeIterator<Item = u32> + '_ {
        self.0.iter().copied()
    }

    pub(super) fn answers(&self) -> Answers {
        Answers {
            responses: self.0.len() as u32,
            failed: self.0.iter().map(|mark| mark & 1).sum(),
        }
    }
}
