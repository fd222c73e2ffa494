//! The numbers of one worker under one configuration: written by it alone, read by the main thread.
//!
//! An array for each split that it has decided, in the order of [`Slots`]. The worker loads and stores
//! without a locked instruction, since nobody else writes; the main thread remembers what it has read,
//! and adds the difference.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use sluice_core::index::SplitIndex;
use sluice_core::plan::Plan;
use sluice_core::tally::slots::Slots;
use sluice_core::tally::{Count, Tally};

/// A cache line, so that no two workers write to the same one.
#[derive(Debug, Default)]
#[repr(align(64))]
struct Line([AtomicU64; 8]);

/// The numbers of one split.
#[derive(Debug)]
struct Numbers {
    slots: Slots,
    lines: Box<[Line]>,
}

impl Numbers {
    fn new(slots: Slots) -> Self {
        let lines = slots.len().div_ceil(8);
        Self {
            slots,
            lines: std::iter::repeat_with(Line::default).take(lines).collect(),
        }
    }

    fn at(&self, slot: usize) -> Option<&AtomicU64> {
        self.lines.get(slot / 8)?.0.get(slot % 8)
    }
}

/// The numbers of one worker.
#[derive(Debug)]
pub(crate) struct Counted {
    splits: Box<[OnceLock<Numbers>]>,
    /// Whether anything was counted since the main thread last looked: without traffic it need not look
    /// at a thousand splits.
    is_changed: AtomicBool,
}

impl Counted {
    /// For a plan of so many splits.
    pub(crate) fn new(splits: usize) -> Self {
        Self {
            splits: std::iter::repeat_with(OnceLock::new).take(splits).collect(),
            is_changed: false.into(),
        }
    }

    /// Adds one. Only by this worker.
    #[inline]
    pub(crate) fn increment(&self, plan: &Plan, count: Count) {
        let split = count.split();
        let Some(numbers) = self.splits.get(usize::from(split)) else {
            return;
        };
        let numbers = match numbers.get() {
            Some(numbers) => numbers,
            None => match plan.split(split) {
                Some(split) => numbers.get_or_init(|| Numbers::new(Slots::of(&split.definition))),
                None => return,
            },
        };
        if let Some(number) = numbers.at(numbers.slots.slot(count)) {
            let more = number.load(Ordering::Relaxed).wrapping_add(1);
            number.store(more, Ordering::Relaxed);
        }
        // Always: a look at it first could miss that the main thread is just about to read.
        self.is_changed.store(true, Ordering::Release);
    }

    /// Adds to a tally what was counted beyond `read`, which is what was read before.
    pub(crate) fn read(&self, read: &mut Read, tally: &mut Tally) {
        if !self.is_changed.swap(false, Ordering::Acquire) {
            return;
        }
        read.0.resize_with(self.splits.len(), Default::default);
        for ((numbers, read), index) in self.splits.iter().zip(&mut read.0).zip(0_u16..) {
            let Some(numbers) = numbers.get() else {
                continue;
            };
            let index = SplitIndex::new(index);
            read.resize(numbers.slots.len(), 0);
            for (slot, read) in read.iter_mut().enumerate() {
                let Some(number) = numbers.at(slot) else {
                    continue;
                };
                let now = number.load(Ordering::Relaxed);
                if now != *read {
                    let more = now.wrapping_sub(*read);
                    tally.increase(numbers.slots.count(slot, index), more);
                    *read = now;
                }
            }
        }
    }
}

/// What the main thread has read of one worker.
#[derive(Debug, Default)]
pub(crate) struct Read(Vec<Vec<u64>>);

#[cfg(test)]
mod tests {
    use super::*;

    use std::sync::Arc;

    use sluice_core::config::Document;
    use sluice_core::decide::Audience;
    use sluice_core::index::VariantIndex;
    use sluice_core::plan::Node;

    fn plan() -> Plan {
        let json = br#"{"splits": {"a": {}, "b": {"rules": []}}}"#;
        Plan::build(&Document::read(json).unwrap(), &Node::default(), None)
    }

    fn decided(split: u16, variant: u8) -> Count {
        Count::Decisions {
            split: SplitIndex::new(split),
            audience: Audience::Everyone,
            variant: VariantIndex::new(variant),
        }
    }

    fn flushed(tally: &mut Tally) -> Vec<(Count, u64)> {
        let mut all = Vec::new();
        tally.flush(|count, number| all.push((count, number)));
        all.sort();
        all
    }

    #[test]
    fn what_was_counted_is_read_once() {
        let (plan, counted) = (plan(), Counted::new(2));
        let (mut read, mut tally) = (Read::default(), Tally::default());
        for count in [decided(0, 0), decided(1, 1), decided(1, 1)] {
            counted.increment(&plan, count);
        }
        counted.increment(&plan, decided(2, 0));
        counted.read(&mut read, &mut tally);
        let expected = [(decided(0, 0), 1), (decided(1, 1), 2)];
        assert_eq!(flushed(&mut tally), expected);
        counted.read(&mut read, &mut tally);
        assert_eq!(flushed(&mut tally), []);
        counted.increment(&plan, decided(0, 0));
        counted.read(&mut read, &mut tally);
        assert_eq!(flushed(&mut tally), [(decided(0, 0), 1)]);
    }

    #[test]
    fn nothing_is_lost_while_another_thread_reads() {
        const NUMBER: u64 = 200_000;
        let (plan, counted) = (plan(), Arc::new(Counted::new(2)));
        let (mut read, mut tally) = (Read::default(), Tally::default());
        std::thread::scope(|scope| {
            let writer = scope.spawn(|| {
                for _ in 0..NUMBER {
                    counted.increment(&plan, decided(1, 0));
                }
            });
            while !writer.is_finished() {
                counted.read(&mut read, &mut tally);
            }
        });
        counted.read(&mut read, &mut tally);
        assert_eq!(flushed(&mut tally), [(decided(1, 0), NUMBER)]);
    }
}
