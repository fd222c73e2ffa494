//! Every metric of Sluice: what it counts, with which labels, and who says it.
//!
//! The catalogue is checked against the sources (a metric that is not listed, or no longer there, fails
//! a test) and against what a real Prometheus scraped. Queries of dashboards and alerts may use no
//! other metric of ours.

mod controller;
mod filter;

/// Who says a metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// The filter, in each Envoy.
    Filter,
    /// `sluice controller`, at `/metrics`.
    Controller,
}

/// What a number may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Type {
    /// It only grows.
    Counter,
    /// It is what is so now.
    Gauge,
    /// It counts by size.
    Histogram,
}

/// A metric.
#[derive(Clone, Copy, Debug)]
pub struct Metric {
    /// As Prometheus has it.
    pub name: &'static str,
    /// Who says it.
    pub source: Source,
    /// What it may do.
    pub kind: Type,
    /// Its labels, beside those of the scraped pod.
    pub labels: &'static [&'static str],
    /// Of one number.
    pub unit: &'static str,
    /// In a sentence.
    pub meaning: &'static str,
}

impl Metric {
    /// The names of its series.
    pub fn series(&self) -> Vec<String> {
        match self.kind {
            Type::Counter | Type::Gauge => vec![self.name.to_owned()],
            Type::Histogram => ["_bucket", "_count", "_sum"]
                .map(|part| format!("{}{part}", self.name))
                .to_vec(),
        }
    }
}

/// The metric of a series.
pub fn of_series(series: &str) -> Option<&'static Metric> {
    all().find(|metric| metric.series().iter().any(|name| name == series))
}

/// Every metric.
pub fn all() -> impl Iterator<Item = &'static Metric> {
    filter::ALL.iter().chain(controller::ALL)
}
