//! Every series that a plugin's metrics have in this process, so that they outlive configurations.
//!
//! Envoy forgets a counter or gauge when the last configuration that used it is gone. So each new
//! configuration uses all of them while its predecessor still lives: counters by adding nothing, gauges
//! by setting what they had.

use std::collections::HashMap;

use fnv::FnvBuildHasher;
use sluice_core::host::{Kind, METRICS};

use crate::abi::{Config, MetricId};

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
pub(crate) struct Series(HashMap<(usize, Box<[Box<str>]>), u64, FnvBuildHasher>);

impl Series {
    /// Remembers a series by its metric's place and the values of its labels, and for a gauge what it
    /// has.
    pub(crate) fn remember(&mut self, place: usize, values: &[&str], gauge: u64) {
        let is_full = self.0.len() >= MAX_REMEMBERED_SERIES;
        let key = (place, values.iter().map(|&value| value.into()).collect());
        match self.0.get_mut(&key) {
            Some(last) => *last = gauge,
            None if is_full => {}
            None => {
                self.0.insert(key, gauge);
            }
        }
    }

    /// Uses all of them in a configuration.
    pub(crate) fn revive(&self, config: &Config<'_>, metrics: &Metrics) {
        for ((place, values), gauge) in &self.0 {
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
        self.0.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_list_remembers_what_it_has_and_nothing_new() {
        let mut series = Series::default();
        for number in 0..MAX_REMEMBERED_SERIES + 5 {
            series.remember(0, &[&number.to_string()], 1);
        }
        assert_eq!(series.len(), MAX_REMEMBERED_SERIES);
        series.remember(0, &["7"], 2);
        let seven = (0, Box::from([Box::from("7")]));
        assert_eq!(series.0.get(&seven), Some(&2));
    }
}
