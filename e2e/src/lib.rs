//! The harness: upstreams that say what they saw, a raw client that can send anything, an Envoy
//! with one of the modules.
//!
//! The modules are black boxes here. What a behaviour is, is in tests/.

// An absent tool or a broken answer ends the test that met it.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a harness fails loudly"
)]

pub mod adapter;
pub mod brakes;
pub mod cases;
pub mod client;
pub mod dev;
pub mod differences;
pub mod mesh;
pub mod prometheus;
pub mod random;
pub mod traffic;
pub mod upstream;
pub mod wait;
