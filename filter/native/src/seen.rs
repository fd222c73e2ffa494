//! The users whom all workers answered under one configuration: sketches that any thread may add to,
//! by atomics alone, and that the main thread joins with those of former configurations.
//!
//! A user who is known already costs two loads. The sketches are those of [`sluice_core::users`].

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, AtomicUsize, Ordering};

use sluice_core::bucket::Point;
use sluice_core::decide::Audience;
use sluice_core::index::{SplitIndex, VariantIndex};
use sluice_core::observed::Observed;
use sluice_core::plan::Plan;
use sluice_core::tally::slots::Slots;
use sluice_core::users::shared::MAX_SKETCHES;
use sluice_core::users::{FAILED_BITS, Mark, Outcome, REGISTERS, Users};

/// One sketch of users and one of failed users.
#[derive(Debug)]
struct Sketch {
    failed: [AtomicU64; FAILED_BITS / 64],
    registers: [AtomicU8; REGISTERS],
    is_changed: AtomicBool,
}

impl Default for Sketch {
    fn default() -> Self {
        Self {
            failed: std::array::from_fn(|_| AtomicU64::new(0)),
            registers: std::array::from_fn(|_| AtomicU8::new(0)),
            is_changed: AtomicBool::new(false),
        }
    }
}

impl Sketch {
    /// Whether that changed anything.
    fn add(&self, user: Point, outcome: Outcome) -> bool {
        let Mark {
            register,
            rank,
            bit,
        } = Mark::of(user);
        let mut is_changed = false;
        if let Some(register) = self.registers.get(register)
            && register.load(Ordering::Relaxed) < rank
        {
            register.fetch_max(rank, Ordering::Relaxed);
            is_changed = true;
        }
        if outcome == Outcome::Failed
            && let Some(word) = self.failed.get(bit / 64)
            && word.load(Ordering::Relaxed) >> (bit % 64) & 1 == 0
        {
            word.fetch_or(1 << (bit % 64), Ordering::Relaxed);
            is_changed = true;
        }
        if is_changed {
            self.is_changed.store(true, Ordering::Release);
        }
        is_changed
    }

    fn users(&self) -> Users {
        let mut failed = [0; FAILED_BITS / 8];
        for (bytes, word) in failed.chunks_mut(8).zip(&self.failed) {
            bytes.copy_from_slice(&word.load(Ordering::Relaxed).to_le_bytes());
        }
        let register = |register: &AtomicU8| register.load(Ordering::Relaxed);
        Users::of_parts(failed, self.registers.each_ref().map(register))
    }
}

/// The sketches of one split.
#[derive(Debug)]
struct OfSplit {
    slots: Slots,
    sketches: Box<[OnceLock<Box<Sketch>>]>,
    /// The pairs of an audience and a variant of whom a user found no sketch.
    left_out: Box<[AtomicBool]>,
}

impl OfSplit {
    fn new(slots: Slots) -> Self {
        let number = slots.audiences_and_variants();
        Self {
            slots,
            sketches: std::iter::repeat_with(OnceLock::new).take(number).collect(),
            left_out: std::iter::repeat_with(Default::default)
                .take(number)
                .collect(),
        }
    }
}

/// The users of one configuration.
#[derive(Debug)]
pub(crate) struct SeenUsers {
    splits: Box<[OnceLock<OfSplit>]>,
    sketches: AtomicUsize,
    is_changed: AtomicBool,
}

impl SeenUsers {
    /// For a plan of so many splits.
    pub(crate) fn new(splits: usize) -> Self {
        Self {
            splits: std::iter::repeat_with(OnceLock::new).take(splits).collect(),
            sketches: AtomicUsize::new(0),
            is_changed: AtomicBool::new(false),
        }
    }

    /// Counts a user's response. Of more than [`MAX_SKETCHES`] sketches only those of everyone.
    pub(crate) fn add(
        &self,
        plan: &Plan,
        split: SplitIndex,
        (audience, variant): (Audience, VariantIndex),
        user: Point,
        outcome: Outcome,
    ) {
        let (Some(own), Some(split)) = (self.splits.get(usize::from(split)), plan.split(split))
        else {
            return;
        };
        let own = own.get_or_init(|| OfSplit::new(Slots::of(&split.definition)));
        let pair = own.slots.pair(audience, variant);
        let (Some(sketch), Some(left_out)) = (own.sketches.get(pair), own.left_out.get(pair))
        else {
            return;
        };
        if sketch.get().is_none() && !self.has_room_for(audience) {
            left_out.store(true, Ordering::Relaxed);
            self.is_changed.store(true, Ordering::Release);
            return;
        }
        if sketch.get_or_init(Box::default).add(user, outcome) {
            self.is_changed.store(true, Ordering::Release);
        }
    }

    /// Takes room for one more sketch. Two workers that meet at the same one take it twice, which
    /// leaves less to others, and never more than there is.
    fn has_room_for(&self, audience: Audience) -> bool {
        let taken = &self.sketches;
        audience == Audience::Everyone
            || taken.load(Ordering::Relaxed) < MAX_SKETCHES
                && taken.fetch_add(1, Ordering::Relaxed) < MAX_SKETCHES
    }

    /// Joins what has changed.
    pub(crate) fn read(&self, observed: &mut Observed) {
        if !self.is_changed.swap(false, Ordering::Acquire) {
            return;
        }
        for (own, index) in self.splits.iter().zip(0_u16..) {
            let (Some(own), index) = (own.get(), SplitIndex::new(index)) else {
                continue;
            };
            for (pair, (sketch, left_out)) in own.sketches.iter().zip(&own.left_out).enumerate() {
                let (audience, variant) = own.slots.audience_and_variant(pair);
                if left_out.swap(false, Ordering::Relaxed) {
                    observed.leave_out(index, audience);
                }
                let changed = sketch
                    .get()
                    .filter(|sketch| sketch.is_changed.swap(false, Ordering::Acquire));
                if let Some(sketch) = changed {
                    observed.join_users(index, audience, variant, &sketch.users());
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sketch_of_several_threads_is_that_of_one() {
        let sketch = Sketch::default();
        let mut alone = Users::default();
        let users: Vec<Point> = (0..20_000_u32)
            .map(|number| Point::of_random(number.wrapping_mul(0x9e37_79b9)))
            .collect();
        let outcome = |at: usize| match at % 7 {
            0 => Outcome::Failed,
            _ => Outcome::Answered,
        };
        for (at, &user) in users.iter().enumerate() {
            alone.add(user, outcome(at));
        }
        std::thread::scope(|scope| {
            for part in 0..4 {
                let (sketch, users) = (&sketch, &users);
                scope.spawn(move || {
                    for (at, &user) in users.iter().enumerate().skip(part).step_by(4) {
                        sketch.add(user, outcome(at));
                    }
                });
            }
        });
        assert_eq!(sketch.users(), alone);
        assert!(sketch.is_changed.swap(false, Ordering::Acquire));
        sketch.add(users[0], Outcome::Failed);
        let is_changed = sketch.is_changed.load(Ordering::Acquire);
        assert!(!is_changed, "who is known changes nothing");
    }
}
