//! Every transition, as a row or a short story with a clock of its own; and what holds whatever
//! happens in whatever order.

mod begin;
mod commands;
mod ends;
mod handing_back;
mod services;
mod steps;
mod story;
mod whatever;
mod workload;
