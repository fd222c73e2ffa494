//! How many users were seen and how many of them failed, each counted once however often they come
//! back: two sketches of identities that any number of proxies can join.
//!
//! A user who always fails is one failure, which a count of requests cannot say. The sketches keep
//! no identity, only bits of a hash of it that the split's salt is part of. The filter adds, joins and
//! exports words ([`shared`]); control reads the words of all proxies and joins them by the same code.

pub mod shared;
mod wire;

use crate::bucket::Point;

/// How many bits the sketch of failed users has.
pub const FAILED_BITS: usize = 1_024;

/// How many registers the sketch of users has.
pub const REGISTERS: usize = 64;

/// How many bits one exported word holds: what a Prometheus sample, a double, holds exactly, in whole
/// registers.
const WORD_BITS: usize = 48;

/// How many words the failed users are exported in.
pub const FAILED_WORDS: usize = FAILED_BITS.div_ceil(WORD_BITS);

/// How many words the users are exported in.
pub const USERS_WORDS: usize = REGISTERS * BITS_OF_REGISTER / WORD_BITS;

const BITS_OF_REGISTER: usize = 6;

/// Hash bits below those of a register's rank: 10 for the failed bit, 6 for the register.
const RANKED_BITS: u32 = 48;

/// Whether a user's response failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It was answered.
    Answered,
    /// The server failed: class 5xx, or the gRPC status of such.
    Failed,
}

/// The users of one split, audience and variant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Users {
    /// Linear counting (Whang, Vander-Zanden and Taylor, 1990): a bit for each failed user's hash.
    failed: [u8; FAILED_BITS / 8],
    /// HyperLogLog (Flajolet, Fusy, Gandouet and Meunier, 2007): the greatest rank of each register.
    registers: [u8; REGISTERS],
}

/// What a user leaves in the sketches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark {
    /// Which register: 0 to 63.
    pub register: usize,
    /// The rank that it has at least: 1 to 49.
    pub rank: u8,
    /// Which bit is set if the response failed: 0 to 1,023.
    pub bit: usize,
}

impl Mark {
    /// The mark of a user.
    pub fn of(user: Point) -> Self {
        let hash = user.spread();
        Self {
            register: (hash >> 10) as usize % REGISTERS,
            rank: ((hash >> 16).leading_zeros() - (u64::BITS - RANKED_BITS) + 1) as u8,
            bit: hash as usize % FAILED_BITS,
        }
    }
}

impl Default for Users {
    fn default() -> Self {
        Self {
            failed: [0; FAILED_BITS / 8],
            registers: [0; REGISTERS],
        }
    }
}

impl Users {
    /// Counts a user's response. Whether that changed anything.
    pub fn add(&mut self, user: Point, outcome: Outcome) -> bool {
        let Mark {
            register,
            rank,
            bit,
        } = Mark::of(user);
        let is_seen = raise(self.registers.get_mut(register), rank);
        let is_failed = outcome == Outcome::Failed && self.fail(bit);
        is_seen | is_failed
    }

    /// The users of failed bits, eight a byte beginning with the lowest, and registers as
    /// [`Mark`] names them.
    pub fn of_parts(failed: [u8; FAILED_BITS / 8], registers: [u8; REGISTERS]) -> Self {
        let registers = registers.map(|rank| rank.min(GREATEST_RANK));
        Self { failed, registers }
    }

    fn fail(&mut self, bit: usize) -> bool {
        let Some(byte) = self.failed.get_mut(bit / 8) else {
            return false;
        };
        let before = *byte;
        *byte |= 1 << (bit % 8);
        *byte != before
    }

    /// Takes over what another has seen; the same users count once. Whether that changed anything.
    pub fn join(&mut self, other: &Self) -> bool {
        let mut is_changed = false;
        for (own, &others) in self.failed.iter_mut().zip(&other.failed) {
            is_changed |= others & !*own != 0;
            *own |= others;
        }
        for (own, &others) in self.registers.iter_mut().zip(&other.registers) {
            is_changed |= raise(Some(own), others);
        }
        is_changed
    }

    /// The words of the failed users: bit 0 of word 0 is the first bit.
    pub fn failed_words(&self) -> [u64; FAILED_WORDS] {
        let bit = |bit: usize| {
            self.failed
                .get(bit / 8)
                .is_some_and(|byte| byte >> (bit % 8) & 1 == 1)
        };
        let word = |word: usize| {
            let bits = (0..WORD_BITS).filter(|&at| bit(word * WORD_BITS + at));
            bits.fold(0, |value, at| value | 1 << at)
        };
        std::array::from_fn(word)
    }

    /// The words of the users: eight registers of six bits each, the first in the lowest bits.
    pub fn users_words(&self) -> [u64; USERS_WORDS] {
        let in_word = WORD_BITS / BITS_OF_REGISTER;
        let word = |word: usize| {
            let registers = self.registers.iter().skip(word * in_word).take(in_word);
            registers.rev().fold(0, |value, &register| {
                value << BITS_OF_REGISTER | u64::from(register)
            })
        };
        std::array::from_fn(word)
    }

    /// Joins one exported word of the failed users; a word beyond them is none.
    pub fn join_failed_word(&mut self, word: usize, value: u64) {
        for at in (0..WORD_BITS).filter(|at| value >> at & 1 == 1) {
            self.fail(word.saturating_mul(WORD_BITS).saturating_add(at));
        }
    }

    /// Joins one exported word of the users; a word beyond them is none.
    pub fn join_users_word(&mut self, word: usize, value: u64) {
        let in_word = WORD_BITS / BITS_OF_REGISTER;
        let registers = self.registers.iter_mut().skip(word.saturating_mul(in_word));
        for (at, register) in registers.take(in_word).enumerate() {
            raise(
                Some(register),
                (value >> (at * BITS_OF_REGISTER)) as u8 & GREATEST_RANK,
            );
        }
    }

    /// How many bits the failed users have set: newly set ones are the events of a sequential test.
    pub fn failed_bits(&self) -> u32 {
        self.failed.iter().map(|byte| byte.count_ones()).sum()
    }

    /// How many users failed, by linear counting: about 1 % off at a hundred, 2 % at a thousand. At
    /// most some 7,000, which stands for all beyond.
    pub fn failed(&self) -> f64 {
        let bits = FAILED_BITS as f64;
        let unset = (FAILED_BITS as f64 - f64::from(self.failed_bits())).max(1.0);
        bits * (bits / unset).ln()
    }

    /// How many users there were: a standard error of 13 %, less below a hundred.
    pub fn users(&self) -> f64 {
        let number = REGISTERS as f64;
        let sum: f64 = self
            .registers
            .iter()
            .map(|&rank| 0.5_f64.powi(i32::from(rank)))
            .sum();
        let raw = 0.709 * number * number / sum;
        let empty = self.registers.iter().filter(|&&rank| rank == 0).count();
        if raw <= 2.5 * number && empty > 0 {
            return number * (number / empty as f64).ln();
        }
        raw
    }
}

const GREATEST_RANK: u8 = (1 << BITS_OF_REGISTER) - 1;

fn raise(register: Option<&mut u8>, rank: u8) -> bool {
    match register {
        Some(register) if *register < rank => {
            *register = rank;
            true
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests;
