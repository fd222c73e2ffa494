//! What a local Envoy needs: its configuration, its process, its admin interface.
//!
//! For `sluice dev` and the tests in e2e/. In a cluster istiod does all of this.

pub mod adapter;
pub mod admin;
pub mod files;
pub mod metrics;
pub mod process;
pub mod running;
mod upstream;

pub use upstream::Upstream;
