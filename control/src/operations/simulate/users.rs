//! Who is simulated: ids as they are given, or made-up ones that a number and a seed name.

use std::io::Write as _;

use sluice_core::plan::Split;

/// Who is simulated.
pub enum Users {
    /// Ids as they are.
    Given(Vec<Box<str>>),
    /// Made-up ids, `user-SEED-0` and on.
    MadeUp {
        /// How many.
        number: u32,
        /// Which ones: the same seed makes the same users.
        seed: u64,
    },
}

impl Users {
    /// How many they are.
    pub(super) fn number(&self) -> usize {
        match self {
            Self::Given(ids) => ids.len(),
            Self::MadeUp { number, .. } => *number as usize,
        }
    }

    /// The bucket of every user in a split, in the users' order.
    pub(super) fn buckets(&self, split: &Split) -> Vec<u32> {
        let workers = std::thread::available_parallelism().map_or(1, |number| number.get());
        let chunk = self.number().div_ceil(workers).max(1);
        let mut buckets = vec![0; self.number()];
        std::thread::scope(|scope| {
            for (part, chunk_buckets) in buckets.chunks_mut(chunk).enumerate() {
                scope.spawn(move || self.fill(split, part * chunk, chunk_buckets));
            }
        });
        buckets
    }

    fn fill(&self, split: &Split, first: usize, buckets: &mut [u32]) {
        match self {
            Self::Given(ids) => {
                for (bucket, id) in buckets.iter_mut().zip(ids.iter().skip(first)) {
                    *bucket = split.seed.bucket(id.as_bytes());
                }
            }
            Self::MadeUp { seed, .. } => {
                let mut id = Vec::new();
                for (number, bucket) in (first..).zip(buckets) {
                    id.clear();
                    let _ = write!(id, "user-{seed}-{number}");
                    *bucket = split.seed.bucket(&id);
                }
            }
        }
    }
}
