//! What a proxy lends to the filter, apart from the request: shared bytes, a log, metrics.
//!
//! Each adapter implements [`Host`] once, by its own calls; tests implement it in memory. Nothing
//! here decides anything: what is kept, logged and counted is said by [`crate::lifecycle`] and
//! [`crate::responses`].

/// Labels of a metric, by name, without the prefix `sluice_`.
pub type Labels<'a> = &'a [(&'a str, &'a str)];

/// The kinds of metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Only grows.
    Counter,
    /// Is set.
    Gauge,
    /// Takes values.
    Histogram,
}

/// A metric: for an adapter that must define all of them before the first one is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Metric {
    /// Its kind.
    pub kind: Kind,
    /// Its name, without the prefix `sluice_`.
    pub name: &'static str,
    /// The names of its labels, in order, without the prefix.
    pub labels: &'static [&'static str],
}

/// Every metric of the filter.
pub const METRICS: [Metric; 18] = [
    counter("decisions_total", &["split", "audience", "variant"]),
    counter("assignments_total", &["split", "audience", "variant"]),
    counter("identity_total", &["split", "source"]),
    counter("responses_total", &["split", "variant", "class"]),
    counter("cut_total", &["split"]),
    counter("ticks_total", &["plugin"]),
    counter("problems_total", &["plugin"]),
    gauge("config_revision", &["plugin"]),
    gauge("config_valid", &["plugin"]),
    gauge("module_version", &["plugin"]),
    gauge("tripped", &["plugin", "split", "variant"]),
    gauge("braked", &["plugin", "split", "variant"]),
    gauge("brake_connected", &["plugin"]),
    gauge("users_word", WORD),
    gauge("failed_users_word", WORD),
    gauge("users_generation", &["plugin", "split", "word"]),
    gauge("users_left_out", &["plugin", "split", "audience"]),
    Metric {
        kind: Kind::Histogram,
        name: "response_time_milliseconds",
        labels: &["split", "variant", "class"],
    },
];

const WORD: &[&str] = &["plugin", "split", "audience", "variant", "word"];

const fn counter(name: &'static str, labels: &'static [&'static str]) -> Metric {
    let kind = Kind::Counter;
    Metric { kind, name, labels }
}

const fn gauge(name: &'static str, labels: &'static [&'static str]) -> Metric {
    let kind = Kind::Gauge;
    Metric { kind, name, labels }
}

/// A proxy, as far as the filter needs it. No call can fail: a host that cannot do something leaves
/// it.
pub trait Host {
    /// Bytes that outlive configurations and are shared by all instances of the filter in one
    /// proxy.
    fn shared_data(&self, key: &str) -> Option<Vec<u8>>;
    /// Keeps bytes for all instances of the filter in this proxy.
    fn set_shared_data(&self, key: &str, value: &[u8]);
    /// Changes such bytes: `change` is given what is there, nothing at first, and again where another
    /// instance came first; `None` leaves it.
    fn update_shared_data(
        &self,
        key: &str,
        change: &mut dyn FnMut(&[u8]) -> Option<Vec<u8>>,
    ) -> Update;
    /// Writes a line to the proxy's log.
    fn log(&self, level: Level, line: &str);
    /// Adds to a counter, which is created by it; the name is without the prefix `sluice_`.
    fn add_to_counter(&self, name: &str, labels: Labels<'_>, number: u64);
    /// Sets a gauge.
    fn set_gauge(&self, name: &str, labels: Labels<'_>, value: u64);
    /// Adds a value to a histogram.
    fn add_to_histogram(&self, name: &str, labels: Labels<'_>, value: u64);
}

/// What became of a change of shared data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Update {
    /// This is what now stands there.
    Written(Vec<u8>),
    /// There was nothing to change.
    Left,
    /// Others came first, again and again: it is to be tried later.
    Lost,
}

/// How much a line of the log matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// A part of the configuration is not served.
    Warning,
    /// Nothing of the configuration is served.
    Error,
}

/// A host in memory, for tests: what was kept, logged and counted can be looked at.
#[cfg(test)]
#[derive(Debug, Default)]
pub(crate) struct MemoryHost {
    pub(crate) shared: std::cell::RefCell<std::collections::BTreeMap<String, Vec<u8>>>,
    pub(crate) lines: std::cell::RefCell<Vec<(Level, String)>>,
    pub(crate) metrics: std::cell::RefCell<std::collections::BTreeMap<String, u64>>,
    /// So many of the next updates lose against others.
    pub(crate) lost: std::cell::Cell<u32>,
}

#[cfg(test)]
impl MemoryHost {
    /// A metric by its name and the values of its labels: `problems_total a`.
    pub(crate) fn metric(&self, key: &str) -> Option<u64> {
        self.metrics.borrow().get(key).copied()
    }

    fn change(&self, kind: Kind, name: &str, labels: Labels<'_>, change: impl FnOnce(&mut u64)) {
        let is_it = |metric: &&Metric| (metric.kind, metric.name) == (kind, name);
        let metric = METRICS.iter().find(is_it);
        let names: Vec<&str> = labels.iter().map(|(label, _)| *label).collect();
        assert_eq!(
            metric.map(|metric| metric.labels),
            Some(&*names),
            "{kind:?} {name}"
        );
        let values = labels.iter().map(|(_, value)| format!(" {value}"));
        let key = name.to_owned() + &values.collect::<String>();
        change(self.metrics.borrow_mut().entry(key).or_default());
    }
}

#[cfg(test)]
impl Host for MemoryHost {
    fn shared_data(&self, key: &str) -> Option<Vec<u8>> {
        self.shared.borrow().get(key).cloned()
    }

    fn set_shared_data(&self, key: &str, value: &[u8]) {
        let (key, value) = (key.to_owned(), value.to_vec());
        self.shared.borrow_mut().insert(key, value);
    }

    fn update_shared_data(
        &self,
        key: &str,
        change: &mut dyn FnMut(&[u8]) -> Option<Vec<u8>>,
    ) -> Update {
        if self.lost.get() > 0 {
            self.lost.set(self.lost.get() - 1);
            let _ = change(&self.shared_data(key).unwrap_or_default());
            return Update::Lost;
        }
        match change(&self.shared_data(key).unwrap_or_default()) {
            Some(changed) => {
                self.set_shared_data(key, &changed);
                Update::Written(changed)
            }
            None => Update::Left,
        }
    }

    fn log(&self, level: Level, line: &str) {
        self.lines.borrow_mut().push((level, line.to_owned()));
    }

    fn add_to_counter(&self, name: &str, labels: Labels<'_>, number: u64) {
        self.change(Kind::Counter, name, labels, |counter| *counter += number);
    }

    fn set_gauge(&self, name: &str, labels: Labels<'_>, value: u64) {
        self.change(Kind::Gauge, name, labels, |gauge| *gauge = value);
    }

    fn add_to_histogram(&self, name: &str, labels: Labels<'_>, value: u64) {
        self.change(Kind::Histogram, name, labels, |sum| *sum += value);
    }
}
