//! The harness: a whole Istio as plain processes on loopback, without containers.
//!
//! Everything runs in namespaces of its own (processes, network, mounts), which `tests/istio`
//! enters before anything else: addresses and ports are nobody else's, and the kernel ends whatever
//! was started when the test ends. What a behaviour is, is in tests/.

// An absent tool or a broken answer ends the test that met it.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a harness fails loudly"
)]

mod agent;
pub mod api_server;
pub mod between;
pub mod chain;
pub mod command;
pub mod controllers;
pub mod doom;
pub mod envoy_gateway;
mod injection;
pub mod istiod;
pub mod kubelet;
pub mod kubernetes;
pub mod load;
pub mod network;
pub mod process;
pub mod prometheus;
pub mod proxy;
pub mod registry;
pub mod tools;
