//! Where observations come from: a Prometheus that scrapes the proxies, or the Envoy of a running
//! `sluice dev`.
//!
//! A source asks and counts, and judges nothing. What cannot be asked is an error of that one
//! figure, and the others are given all the same; what nobody has counted is no data, never zero.

mod envoy;
mod istio;
mod prometheus;
mod query;
mod series;
mod target;

pub use envoy::MAX_KEPT_SAMPLES;
pub use prometheus::MAX_QUERIES_AT_ONCE;
pub use query::{filled, reading};
pub use target::{Asked, Observed, Purpose, Round, Target};

use super::analysis::plan::Istio;
use crate::cluster::prometheus::Prometheus;
use crate::store::directory::Directory;

/// Where observations come from.
#[derive(Clone, Debug)]
pub struct Source(Kind);

#[derive(Clone, Debug)]
enum Kind {
    Prometheus(Box<prometheus::Source>),
    Envoy(envoy::Source),
}

impl Source {
    /// A Prometheus; without `istio`, it is asked for the filter's own metrics.
    pub fn of_prometheus(server: Prometheus, istio: Option<Istio>) -> Self {
        Self(Kind::Prometheus(Box::new(prometheus::Source {
            server,
            istio,
        })))
    }

    /// The Envoy of a `sluice dev` that serves a directory.
    pub fn of_envoy(directory: Directory) -> Self {
        Self(Kind::Envoy(envoy::Source::new(directory)))
    }

    /// Whether what it asks has refused the credentials.
    pub fn was_denied(&self) -> bool {
        match &self.0 {
            Kind::Prometheus(source) => source.server.was_denied(),
            Kind::Envoy(_) => false,
        }
    }

    /// What is seen of a target in a round.
    pub async fn observe(&mut self, target: &Target, round: &Round<'_>) -> Observed {
        match &mut self.0 {
            Kind::Prometheus(source) => source.observe(target, round).await,
            Kind::Envoy(source) => source.observe(target, round).await,
        }
    }
}
