//! Regular expressions on which RE2 (Envoy, Istio) and Rust agree, compiled for bytes and for the
//! whole value.
//!
//! What the two read differently, or only one accepts, is refused with the reason ([`dialect`]), and
//! so is what costs too much: compiling is counted in steps, for each split and for a whole
//! configuration ([`work`]), and what is compiled matches at the price of one look-up a byte
//! ([`automaton`]). Identical expressions of one configuration share one program ([`Patterns`]).
//! Used by [`crate::definition`] and [`crate::plan`].

pub mod automaton;
pub mod dialect;
mod error;
mod expression;
mod patterns;
pub mod steps;
pub mod work;

pub use error::PatternError;
pub use expression::Expression;
pub use patterns::{MAX_PATTERN_WORK, MAX_SPLIT_WORK, Patterns, Used};

/// The longest expression, in characters, as Istio's validation has it.
pub const MAX_PATTERN_CHARS: usize = 1_024;
