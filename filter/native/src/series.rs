//! Every series that a plugin's metrics have in this process, so that they outlive configurations.
//!
//! Envoy forgets a counter or gauge when the last configuration that used it is gone. So every
//! configuration uses all counters, by adding nothing: those that are there when it comes, and each
//! that comes later. Gauges are shown by one or two of them.

use std::collections::{HashMap, HashSet};

use fnv::FnvBuildHasher;
use sluice_core::host::{Kind, METRICS, Metric};

use crate::abi::{Config, MetricId, shared};

/// How many series of a plugin are remembered; see docs/limits.md. Chosen: more than the most users'
/// words (30,000) and the numbers of a thousand splits; those beyond begin anew with a configuration.
pub(crate) const MAX_REMEMBERED_SERIES: usize = 100_000;

/// The metrics of one configuration, in the order of [`METRICS`].
#[derive(Debug)]
pub(crate) struct Metrics {
    all: [Option<MetricId>; METRICS.len()],
    /// The one that workers record.
    pub(crate) response_time: Option<MetricId>,
}

impl Metrics {
    /// Defines all of them.
    pub(crate) fn define(config: &Config<'_>) -> Self {
        let mut metrics = Self::NONE;
        metrics.all = METRICS.map(|metric| {
            let labels: Vec<String> = metric.labels.iter().map(|label| prefixed(label)).collect();
            let labels: Vec<&str> = labels.iter().map(String::as_str).collect();
            config.define(metric.kind, &prefixed(metric.name), &labels)
        });
        let response_time = metrics.named("response_time_milliseconds");
        metrics.response_time = response_time.map(|(_, id)| id);
        metrics
    }

    /// None: nothing is shown.
    pub(crate) const NONE: Self = Self {
        all: [None; METRICS.len()],
        response_time: None,
    };

    /// The place of a metric, and what Envoy knows it by.
    pub(crate) fn named(&self, name: &str) -> Option<(usize, MetricId)> {
        let place = METRICS.iter().position(|metric| metric.name == name)?;
        Some((place, self.id(place)?))
    }

    fn id(&self, place: usize) -> Option<MetricId> {
        self.all.get(place).copied().flatten()
    }
}

fn prefixed(name: &str) -> String {
    ["sluice_", name].concat()
}

/// A metric's place and the values of its labels.
type Key = (usize, Box<[Box<str>]>);

/// The series of one plugin.
#[derive(Debug, Default)]
pub(crate) struct Series {
    /// In the order in which they were first used.
    counters: Vec<Key>,
    known: HashSet<Key, FnvBuildHasher>,
    /// With what they show.
    gauges: HashMap<Key, u64, FnvBuildHasher>,
    /// How many bytes of what all versions of the module share were read.
    read: usize,
}

impl Series {
    /// Remembers a counter by its metric's place and the values of its labels, for all versions of the
    /// module.
    pub(crate) fn remember_counter(&mut self, plugin: &str, place: usize, values: &[&str]) {
        let key = key(place, values);
        if self.is_full() || self.known.contains(&key) {
            return;
        }
        if let Some(metric) = METRICS.get(place) {
            let line = [&[metric.name], values, &["\n"]].concat().join("\t");
            shared::append(&key_of(plugin), line.as_bytes());
        }
        self.add(key);
    }

    /// Remembers a gauge and what it shows.
    pub(crate) fn remember_gauge(&mut self, place: usize, values: &[&str], gauge: u64) {
        let is_full = self.is_full();
        let key = key(place, values);
        match self.gauges.get_mut(&key) {
            Some(last) => *last = gauge,
            None if is_full => {}
            None => {
                self.gauges.insert(key, gauge);
            }
        }
    }

    fn is_full(&self) -> bool {
        self.counters.len() + self.gauges.len() >= MAX_REMEMBERED_SERIES
    }

    fn add(&mut self, key: Key) {
        if self.known.insert(key.clone()) {
            self.counters.push(key);
        }
    }

    /// Learns of counters that another version of the module counted: they end with it, unless this one
    /// uses them too. Gauges are set by whoever takes over.
    pub(crate) fn learn(&mut self, plugin: &str) {
        let fresh = shared::read_from(&key_of(plugin), self.read).unwrap_or_default();
        self.read += fresh.len();
        for line in String::from_utf8_lossy(&fresh).split_terminator("\t\n") {
            let mut parts = line.split('\t');
            let name = parts.next().unwrap_or_default();
            let values: Vec<&str> = parts.collect();
            let is_it = |metric: &Metric| {
                let is_counter = metric.kind == Kind::Counter;
                is_counter && metric.name == name && metric.labels.len() == values.len()
            };
            let place = METRICS.iter().position(is_it);
            if let Some(place) = place.filter(|_| !self.is_full()) {
                self.add(key(place, &values));
            }
        }
    }

    /// Uses the counters of which a configuration has used so many; how many it then has.
    pub(crate) fn use_counters(
        &self,
        config: &Config<'_>,
        metrics: &Metrics,
        used: usize,
    ) -> usize {
        for (place, values) in self.counters.iter().skip(used) {
            if let Some(id) = metrics.id(*place) {
                let values: Vec<&str> = values.iter().map(AsRef::as_ref).collect();
                config.add(id, &values, 0);
            }
        }
        self.counters.len()
    }

    /// Shows every gauge in a configuration.
    pub(crate) fn show_gauges(&self, config: &Config<'_>, metrics: &Metrics) {
        for ((place, values), gauge) in &self.gauges {
            if let Some(id) = metrics.id(*place) {
                let values: Vec<&str> = values.iter().map(AsRef::as_ref).collect();
                config.set(id, &values, *gauge);
            }
        }
    }

    /// Forgets what gauges show: nobody of this version is left who would keep it up to date.
    pub(crate) fn forget_gauges(&mut self) {
        self.gauges.clear();
    }
}

fn key(place: usize, values: &[&str]) -> Key {
    (place, values.iter().map(|&value| value.into()).collect())
}

/// Where all versions of the module keep the counters of a plugin; it ends in the number of the format.
fn key_of(plugin: &str) -> String {
    ["sluice/", plugin, "/counters.1"].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_list_remembers_what_it_has_and_nothing_new() {
        let mut series = Series::default();
        for number in 0..MAX_REMEMBERED_SERIES + 5 {
            series.remember_gauge(10, &[&number.to_string()], 1);
        }
        assert_eq!(series.gauges.len(), MAX_REMEMBERED_SERIES);
        series.remember_gauge(10, &["7"], 2);
        series.remember_counter("full", 4, &["web"]);
        assert_eq!(series.gauges.get(&key(10, &["7"])), Some(&2));
        assert_eq!(series.counters, []);
        series.forget_gauges();
        series.remember_counter("full", 4, &["web"]);
        assert_eq!(series.counters, [key(4, &["web"])]);
    }

    #[test]
    fn another_version_learns_of_counters_and_not_of_gauges() {
        let (mut one, mut other) = <(Series, Series)>::default();
        one.remember_counter("learnt", 0, &["web", "everyone", "canary"]);
        one.remember_counter("learnt", 0, &["web", "everyone", "canary"]);
        one.remember_gauge(10, &["a.b", "web", "canary"], 1);
        other.learn("learnt");
        one.remember_counter("learnt", 4, &["web"]);
        other.learn("learnt");
        let counters = [key(0, &["web", "everyone", "canary"]), key(4, &["web"])];
        assert_eq!(other.counters, counters);
        one.learn("learnt");
        assert_eq!(one.counters, counters, "it learns nothing of itself");
        shared::append(&key_of("learnt"), b"decisions_total\tweb\t\nnothing\tx\t\n");
        other.learn("learnt");
        assert_eq!(other.counters.len(), 2, "what is of another form is left");
    }
}
