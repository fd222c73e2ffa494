//! The Helm chart, by Helm itself: rendered, installed into the API server, upgraded, taken away, and
//! installed again, with the controller's pods running as it says.
//!
//! Pods are programs of this host (`kubelet/program.rs`): the binary behind the account, the user
//! and the probes of the chart's Deployment. No network of the tests enforces a NetworkPolicy.

mod lifecycle;
mod listed;
pub mod release;
mod rendered;
mod watched;

pub use lifecycle::*;
pub use listed::*;
pub use release::{chart, helm};
pub use rendered::*;
pub use watched::*;
