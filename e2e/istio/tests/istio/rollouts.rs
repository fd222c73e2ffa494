//! Rollouts that `sluice controller` runs, in a real Istio: each to its end, or back.

mod admission;
mod controller;
mod ends;
mod killed;
mod rights;
mod several;
mod steps;

pub use admission::*;
pub use ends::*;
pub use killed::*;
pub use rights::*;
pub use several::*;
pub use steps::*;
