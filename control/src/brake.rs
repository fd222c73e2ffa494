//! The brake: an abort that reaches every proxy past istiod.
//!
//! A [`object::Brake`] says which challenger of which plugin is braked; istiod's webhook does not
//! guard it. Every replica of the controller watches them ([`watching`]) and answers the proxies that
//! ask ([`service`]); the one that leads writes the zeros that a brake stands for until they are in
//! force ([`truth`]). [`abort`] is what `sluice abort` and the Rollouts do: both at once; [`key`] is the
//! way past the API server too. What proxies make of it is the filter's ([`sluice_core::brake`]).

pub mod abort;
pub mod askers;
pub mod claims;
pub mod counts;
pub mod desk;
pub mod files;
pub mod key;
pub mod metrics;
pub mod object;
pub mod plugin;
pub mod pull;
pub mod reading;
pub mod release;
mod responses;
mod seats;
pub mod service;
pub mod table;
pub mod truth;
pub mod watching;
