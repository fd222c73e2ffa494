//! Every series that a plugin's metrics have in this process, so that they outlive configurations.
//!
//! Envoy forgets a counter or gauge when the last configuration that used it is gone. So each new
//! configuration uses all of them while its predecessor still lives: counters by adding nothing, gauges
//! by setting what they had.

use std::collections::HashMap;

use fnv::FnvBuildHasher;
use sluice_core::host::{Kind, METRICS, Metric};

use crate::abi::{Config, MetricId, shared};

/// How many series of a plugin are remembered; see docs/limits.md. Chosen: more than the most users'
/// words (30,000) and the numbers of a thousand splits; those beyond begin anew with a configuration.
pub(crate) const MAX_REMEMBERED_SERIES: usize = 100_000;

/// The metrics of one configuration, in the order of [`METRICS`].
#[derive(Debug)]
pub(crate) struct Metrics([Option<MetricId>; METRICS.len()]);

impl Metrics {
    /// Defines all of them.
    pub(crate) fn define(config: &Config<'_>) -> Self {
        Self(METRICS.map(|metric| {
            let labels: Vec<String> = metric.labels.iter().map(|label| prefixed(label)).collect();
            let labels: Vec<&str> = labels.iter().map(String::as_str).collect();
            config.define(metric.kind, &prefixed(metric.name), &labels)
        }))
    }

    /// None: nothing is shown.
    pub(crate) const NONE: Self = Self([None; METRICS.len()]);

    /// The place of a metric, and what Envoy knows it by.
    pub(crate) fn named(&self, name: &str) -> Option<(usize, MetricId)> {
        let place = METRICS.iter().position(|metric| metric.name == name)?;
        Some((place, self.0.get(place).copied().flatten()?))
    }
}

fn prefixed(name: &str) -> String {
    ["sluice_", name].concat()
}

/// The series of one plugin.
#[derive(Debug, Default)]
pub(crate) struct Series {
    values: HashMap<(usize, Box<[Box<str>]>), u64, FnvBuildHasher>,
    /// How many bytes of what all versions of the module share were read.
    read: usize,
}

impl Series {
    /// Remembers a series by its metric's place and the values of its labels, and for a gauge what it
    /// has.
    pub(crate) fn remember(&mut self, plugin: &str, place: usize, values: &[&str], gauge: u64) {
        let is_full = self.values.len() >= MAX_REMEMBERED_SERIES;
        let key = (place, values.iter().map(|&value| value.into()).collect());
        match self.values.get_mut(&key) {
            Some(last) => *last = gauge,
            None if is_full => {}
            None => {
                self.values.insert(key, gauge);
                if let Some(counter) = METRICS.get(place).filter(is_counter) {
                    let line = [&[counter.name], values, &["\n"]].concat().join("\t");
                    shared::append(&key_of(plugin), line.as_bytes());
                }
            }
        }
    }

    /// Learns of counters that another version of the module counted: they end with it, unless this one
    /// uses them too. Gauges are set by whoever takes over.
    pub(crate) fn learn(&mut self, plugin: &str) {
        let bytes = shared::read(&key_of(plugin)).unwrap_or_default();
        let fresh = bytes.get(self.read..).unwrap_or_default();
        self.read = bytes.len();
        for line in String::from_utf8_lossy(fresh).split_terminator("\t\n") {
            let mut parts = line.split('\t');
            let name = parts.next().unwrap_or_default();
            let is_it = |metric: &Metric| metric.name == name && is_counter(&metric);
            let place = METRICS.iter().position(is_it);
            let values: Box<[Box<str>]> = parts.map(Into::into).collect();
            if let Some(place) = place.filter(|&place| {
                let metric = METRICS.get(place);
                metric.is_some_and(|metric| metric.labels.len() == values.len())
            }) && self.values.len() < MAX_REMEMBERED_SERIES
            {
                self.values.entry((place, values)).or_default();
            }
        }
    }

    /// Uses all of them in a configuration.
    pub(crate) fn revive(&self, config: &Config<'_>, metrics: &Metrics) {
        for ((place, values), gauge) in &self.values {
            let id = metrics.0.get(*place).copied().flatten();
            let (Some(id), Some(metric)) = (id, METRICS.get(*place)) else {
                continue;
            };
            let values: Vec<&str> = values.iter().map(AsRef::as_ref).collect();
            match metric.kind {
                Kind::Counter => config.add(id, &values, 0),
                Kind::Gauge => config.set(id, &values, *gauge),
                Kind::Histogram => {}
            }
        }
    }

    /// How many there are.
    #[cfg(test)]
    fn len(&self) -> usize {
        self.values.len()
    }
}

fn is_counter(metric: &&Metric) -> bool {
    metric.kind == Kind::Counter
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
            series.remember("full", 0, &[&number.to_string()], 1);
        }
        assert_eq!(series.len(), MAX_REMEMBERED_SERIES);
        series.remember("full", 0, &["7"], 2);
        let seven = (0, Box::from([Box::from("7")]));
        assert_eq!(series.values.get(&seven), Some(&2));
    }
    #[test]
    fn another_version_learns_of_counters_and_not_of_gauges() {
        let (mut one, mut other) = <(Series, Series)>::default();
        one.remember("learnt", 0, &["web", "everyone", "canary"], 0);
        one.remember("learnt", 10, &["a.b", "web", "canary"], 1);
        other.learn("learnt");
        one.remember("learnt", 4, &["web"], 0);
        other.learn("learnt");
        let counters = [(0, vec!["web", "everyone", "canary"]), (4, vec!["web"])];
        let counters = counters.map(|(place, values)| {
            let values: Box<[Box<str>]> = values.into_iter().map(Into::into).collect();
            ((place, values), 0)
        });
        assert_eq!(other.values, HashMap::from_iter(counters));
        shared::append(&key_of("learnt"), b"decisions_total\tweb\t\nnothing\tx\t\n");
        other.learn("learnt");
        assert_eq!(other.len(), 2, "what is of another form is left");
    }
}
