//! `sluice rollout` as people use it on a directory: one process runs a Rollout, others talk to it,
//! and whatever dies goes on where it was. Nothing waits for a time, only for what is printed.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "helpers of tests fail like tests"
)]

mod commands;
mod deaths;
mod refusals;
mod shop;
mod waiting;
