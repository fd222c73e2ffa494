//! The control side of Sluice: what people type, the stores that percentages live in, the local playground.
//!
//! The way of a percentage: [`cli`] → [`command`] → [`change`] (what it would mean) → [`store`] (where it is kept) →
//! a proxy. What a configuration means is the filter's own core, [`sluice_core`].

pub mod change;
pub mod cli;
pub mod cluster;
pub mod command;
pub mod described;
pub mod document;
pub mod envoy;
pub mod fit;
pub mod image;
pub mod imported;
pub mod input;
pub mod lint;
pub mod manifests;
pub mod moves;
pub mod near;
pub mod output;
pub mod prometheus;
pub mod schema;
pub mod statistics;
pub mod store;
pub mod weights;
