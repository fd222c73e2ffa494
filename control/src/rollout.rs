//! Rollouts: a percentage that moves by itself, step by step, watched, and back within seconds.
//!
//! [`resource`] is what people write. It is used by the commands, by the controller and by
//! `sluice validate`; whatever is written to a plugin goes through [`crate::operations`].

pub mod abort;
pub mod act;
pub mod alarms;
pub mod analysis;
pub mod asking;
pub mod check;
mod checking;
pub mod commands;
pub mod conditions;
pub mod controller;
pub mod counters;
pub mod crd;
mod cut;
pub mod definition;
pub mod engine;
pub mod entry;
pub mod gates;
pub mod ground;
pub mod hold;
pub mod host;
pub mod import;
pub mod kept;
pub mod kept_maps;
pub mod lease;
pub mod letters;
pub mod logged;
pub mod look;
pub mod manifest;
pub mod mesh;
pub mod notifications;
pub mod object;
pub mod observation;
pub mod outbound;
pub mod outline;
pub mod parked;
pub mod peers;
pub mod proxies;
pub mod resource;
pub mod rollouts;
pub mod runner;
pub mod secrets;
pub mod server;
pub mod sources;
pub mod stand_in;
pub mod statistics;
pub mod status;
pub mod view;
pub mod watch;
pub mod windows;
pub mod workload;
pub mod world;
