//! Sources of observations with the real parts: who may ask a Prometheus, what its answers mean, and
//! what variants answered, from what it scraped and from a local Envoy.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "Clippy sees the tests, but not the functions they share"
)]

mod access;
mod answers;
mod checked;
mod counted;
mod envoy;
mod exporter;
mod rotated;
mod watched;
