//! The control side of Sluice: what people type, the stores that percentages live in, the local
//! playground.
//!
//! The way of a percentage: [`command`] → [`operations`] → [`model::change`] (what it would mean) →
//! [`store`] (where it is kept) → a proxy. What a configuration means is the filter's own core,
//! [`sluice_core`].

pub mod analyze;
pub mod brake;
pub mod cluster;
pub mod command;
pub mod doctor;
pub mod files;
pub mod local;
pub mod model;
pub mod operations;
pub mod rollout;
pub mod store;
pub mod tls;
