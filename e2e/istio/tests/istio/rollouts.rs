//! Rollouts that `sluice controller` runs, in a real Istio: each to its end, or back.

mod admission;
mod blind;
pub mod controller;
mod crowd;
mod dark;
mod ends;
mod foreground;
mod held;
mod killed;
mod migration;
mod rights;
mod said;
mod several;
mod steps;
mod watched;

pub use admission::*;
pub use blind::*;
pub use crowd::*;
pub use dark::*;
pub use ends::*;
pub use foreground::*;
pub use held::*;
pub use killed::*;
pub use migration::*;
pub use rights::*;
pub use said::*;
pub use several::*;
pub use steps::*;
pub use watched::*;
