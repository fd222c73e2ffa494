//! Random configurations and requests, for comparing the adapters with each other and with the core.
//!
//! Repeatable: the same seed gives the same ones. They are such as meet each other: few names, few
//! values, and among them those that limits, byte orders and absent values are decided by. What is
//! compared is [`crate::differences`]'s.

mod configuration;
mod request;

pub use configuration::configuration;
pub use request::{CLAIMS, Claim, Protocol, Sent, claims_filter, request, routes};

/// xorshift64* (Vigna 2016): repeatable without a dependency.
#[derive(Clone, Debug)]
pub struct Random {
    state: u64,
}

impl Random {
    /// The one that a seed gives.
    pub fn new(seed: u64) -> Self {
        Self {
            state: seed.wrapping_mul(2).wrapping_add(1),
        }
    }

    /// A number below `end`, which is at least 1.
    pub fn below(&mut self, end: usize) -> usize {
        self.state ^= self.state >> 12;
        self.state ^= self.state << 25;
        self.state ^= self.state >> 27;
        let bits = self.state.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33;
        usize::try_from(bits).unwrap() % end
    }

    /// Whether it is one of `number` equal chances.
    pub fn one_in(&mut self, number: usize) -> bool {
        self.below(number) == 0
    }

    /// One of these.
    pub fn pick<T: Clone>(&mut self, of: &[T]) -> T {
        of[self.below(of.len())].clone()
    }

    /// Between none and `most` of these, in their order or in another.
    pub fn some<T: Clone>(&mut self, most: usize, of: &[T]) -> Vec<T> {
        let number = self.below(most + 1);
        (0..number).map(|_| self.pick(of)).collect()
    }
}
