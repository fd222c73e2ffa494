//! Rollouts: a percentage that moves by itself, step by step, watched, and back within seconds.
//!
//! [`resource`] is what people write. It is used by the commands, by the controller and by
//! `sluice validate`; whatever is written to a plugin goes through [`crate::operations`].

pub mod act;
pub mod analysis;
pub mod counters;
pub mod definition;
pub mod engine;
pub mod host;
pub mod kept;
pub mod look;
pub mod manifest;
pub mod observation;
pub mod peers;
pub mod proxies;
pub mod resource;
pub mod runner;
pub mod sources;
pub mod statistics;
pub mod status;
pub mod world;
