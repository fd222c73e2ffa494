//! `sluice` on a cluster whose API server is in trouble.
#![allow(clippy::unwrap_used, reason = "helpers of tests fail like tests")]

mod aborts;
mod api_server;
mod brakes;
mod changes;
mod history;
mod native;
mod parked;
mod promotions;
mod rollouts;
