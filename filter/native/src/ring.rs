//! A queue from one worker to the main thread: what a guard is to see. By atomics alone; where it is
//! full, what comes is left out and counted, and the worker goes on.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

/// How many responses of guarded splits one worker may see between two ticks; see docs/limits.md.
/// Chosen: ticks come each 250 ms, and no worker answers 65,000 requests a second.
pub(crate) const MAX_GUARDED_RESPONSES: usize = 16 * 1024;

/// One writer, one reader.
#[derive(Debug)]
pub(crate) struct Ring {
    entries: Box<[[AtomicU64; 2]]>,
    /// How many were written, and how many read.
    written: AtomicUsize,
    read: AtomicUsize,
    left_out: AtomicU64,
}

impl Default for Ring {
    fn default() -> Self {
        let empty = || [AtomicU64::new(0), AtomicU64::new(0)];
        let entries = std::iter::repeat_with(empty);
        Self {
            entries: entries.take(MAX_GUARDED_RESPONSES).collect(),
            written: AtomicUsize::new(0),
            read: AtomicUsize::new(0),
            left_out: AtomicU64::new(0),
        }
    }
}

impl Ring {
    /// Adds an entry, where there is room. Only by the writer.
    pub(crate) fn push(&self, [first, second]: [u64; 2]) {
        let written = self.written.load(Ordering::Relaxed);
        let waiting = written.wrapping_sub(self.read.load(Ordering::Acquire));
        if waiting >= MAX_GUARDED_RESPONSES {
            self.left_out.fetch_add(1, Ordering::Relaxed);
            return;
        }
        if let Some([one, other]) = self.entries.get(written % MAX_GUARDED_RESPONSES) {
            one.store(first, Ordering::Relaxed);
            other.store(second, Ordering::Relaxed);
            self.written
                .store(written.wrapping_add(1), Ordering::Release);
        }
    }

    /// How many entries found no room since this was asked last.
    pub(crate) fn left_out(&self) -> u64 {
        self.left_out.swap(0, Ordering::Relaxed)
    }

    /// Takes every entry out. Only by the reader.
    pub(crate) fn drain(&self, mut each: impl FnMut([u64; 2])) {
        let written = self.written.load(Ordering::Acquire);
        let mut read = self.read.load(Ordering::Relaxed);
        while read != written {
            if let Some([first, second]) = self.entries.get(read % MAX_GUARDED_RESPONSES) {
                each([
                    first.load(Ordering::Relaxed),
                    second.load(Ordering::Relaxed),
                ]);
            }
            read = read.wrapping_add(1);
        }
        self.read.store(read, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drained(ring: &Ring) -> Vec<[u64; 2]> {
        let mut all = Vec::new();
        ring.drain(|entry| all.push(entry));
        all
    }

    #[test]
    fn what_finds_no_room_is_left_out_and_later_entries_find_some() {
        let ring = Ring::default();
        for number in 0..MAX_GUARDED_RESPONSES as u64 + 5 {
            ring.push([number, number + 1]);
        }
        let all = drained(&ring);
        assert_eq!(all.len(), MAX_GUARDED_RESPONSES);
        assert_eq!(all.last(), Some(&[16_383, 16_384]));
        assert_eq!([ring.left_out(), ring.left_out()], [5, 0]);
        ring.push([7, 8]);
        assert_eq!(drained(&ring), [[7, 8]]);
        assert_eq!(drained(&ring), [] as [[u64; 2]; 0]);
    }

    #[test]
    fn entries_come_whole_and_in_order_while_others_are_written() {
        const NUMBER: u64 = 300_000;
        let ring = Ring::default();
        let mut last = 0;
        std::thread::scope(|scope| {
            let writer = scope.spawn(|| {
                for number in 1..=NUMBER {
                    ring.push([number, !number]);
                }
            });
            let mut check = |[first, second]: [u64; 2]| {
                assert!(second == !first && first > last, "{first} after {last}");
                last = first;
            };
            while !writer.is_finished() {
                ring.drain(&mut check);
            }
            ring.drain(&mut check);
        });
        assert!(last > 0);
    }
}
