//! Rollouts: a percentage that moves by itself, step by step, watched, and back within seconds.
//!
//! [`resource`] is what people write. It is used by the commands, by the controller and by
//! `sluice validate`; whatever is written to a plugin goes through [`crate::operations`].

pub mod definition;
pub mod resource;
