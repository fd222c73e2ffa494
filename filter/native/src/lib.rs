//! The filter in Envoy as a dynamic module: which hooks there are and which thread owns what.
//!
//! `abi` speaks to Envoy and is the only place with `unsafe`; it turns hooks into calls of
//! `configuration` (the main thread: taking configurations, flushing counters, asking for brakes) and
//! `stream` (workers: one decision a request). What workers share with the main thread is in
//! `state`, `counted` and `seen`, by atomics alone; what outlives configurations is in
//! `process`. What is decided, kept and reported is `sluice-core`'s, as in the wasm module.

#[allow(
    unsafe_code,
    reason = "Envoy's interface is C; each block says why it is sound"
)]
mod abi;
mod clock;
mod configuration;
mod counted;
mod envoy;
mod instance;
mod left;
mod node;
mod process;
mod ring;
mod seen;
mod series;
mod state;
mod stream;
