//! This Envoy as the core's host, on the main thread: shared data of the process, log, metrics of one
//! configuration, questions to services.

use std::time::{Duration, SystemTime};

use sluice_core::brake::lease::Vm;
use sluice_core::brake::poll::{self, Caller};
use sluice_core::host::{Host, Labels, Level, Update};
use sluice_core::plan::brake::Service;

use crate::abi::{self, Config, Refusal, shared};
use crate::node;
use crate::process::Plugin;
use crate::series::Metrics;

/// How often a change of shared data is tried again where another version of the module, or a thread that
/// ends a configuration, came first.
const MAX_EXCHANGES: usize = 16;

/// Where counts and gauges go.
pub(crate) trait Sink {
    /// Adds to a counter.
    fn add(&self, name: &str, labels: Labels<'_>, number: u64);
    /// Sets a gauge.
    fn set(&self, name: &str, labels: Labels<'_>, value: u64);
}

/// This process: what all versions of the module share, Envoy's log, and a sink.
pub(crate) struct Process<S>(pub(crate) S);

/// The main thread, in a hook of one configuration.
pub(crate) type Envoy<'a> = Process<Shown<'a>>;

/// Metrics that Envoy shows.
pub(crate) struct Shown<'a> {
    /// Envoy's object.
    pub(crate) config: &'a Config<'a>,
    /// Its metrics.
    pub(crate) metrics: &'a Metrics,
    /// What outlives it, and the plugin's name.
    pub(crate) plugin: &'a Plugin,
    pub(crate) name: &'a str,
}

impl<S: Sink> Host for Process<S> {
    fn shared_data(&self, key: &str) -> Option<Vec<u8>> {
        shared::read(key)
    }

    fn set_shared_data(&self, key: &str, value: &[u8]) {
        shared::write(key, value);
    }

    fn update_shared_data(
        &self,
        key: &str,
        change: &mut dyn FnMut(&[u8]) -> Option<Vec<u8>>,
    ) -> Update {
        for _ in 0..MAX_EXCHANGES {
            let bytes = shared::read(key).unwrap_or_default();
            let Some(changed) = change(&bytes) else {
                return Update::Left;
            };
            if shared::exchange(key, &bytes, &changed) {
                return Update::Written(changed);
            }
        }
        Update::Lost
    }

    fn log(&self, level: Level, line: &str) {
        abi::log(level, line);
    }

    fn add_to_counter(&self, name: &str, labels: Labels<'_>, number: u64) {
        self.0.add(name, labels, number);
    }

    fn set_gauge(&self, name: &str, labels: Labels<'_>, value: u64) {
        self.0.set(name, labels, value);
    }

    /// Workers do that with their streams.
    fn add_to_histogram(&self, _name: &str, _labels: Labels<'_>, _value: u64) {}
}

impl Sink for Shown<'_> {
    fn add(&self, name: &str, labels: Labels<'_>, number: u64) {
        if let Some((place, id)) = self.metrics.named(name) {
            let values = values(labels);
            self.config.add(id, &values, number);
            let mut series = self.plugin.series.lock();
            series.remember_counter(self.name, place, &values);
        }
    }

    fn set(&self, name: &str, labels: Labels<'_>, value: u64) {
        if let Some((place, id)) = self.metrics.named(name) {
            let values = values(labels);
            self.config.set(id, &values, value);
            let mut series = self.plugin.series.lock();
            series.remember_gauge(place, &values, value);
        }
    }
}

impl Caller for Envoy<'_> {
    fn node_id(&self) -> String {
        node::id()
    }

    fn post(&self, service: &Service, json: &str, patience: Duration) -> Result<u64, String> {
        let headers = [
            (":method", "POST"),
            (":scheme", "http"),
            (":path", poll::PATH),
            (":authority", &*service.authority),
            ("host", &*service.authority),
            ("content-type", "application/json"),
            // Where one replica is gone and still listed, Envoy tries another one at once.
            ("x-envoy-retry-on", "connect-failure"),
            ("x-envoy-max-retries", "3"),
        ];
        let (cluster, body) = (&service.cluster, json.as_bytes());
        let call = self.0.config.post(cluster, &headers, body, patience);
        call.map_err(|refusal| match refusal {
            Refusal::NoCluster => format!(": this proxy has no cluster {cluster}"),
            Refusal::NoHost => format!(": no host of cluster {cluster} can be called"),
        })
    }

    /// The workers of this library follow at once, another version at its next tick.
    fn wake_others(&self, _plugin: &str, _vm: Vm) {}
}

/// The values of labels.
pub(crate) fn values<'a>(labels: Labels<'a>) -> Vec<&'a str> {
    labels.iter().map(|(_, value)| *value).collect()
}

/// Time since the epoch; zero where the clock is before it.
pub(crate) fn now() -> Duration {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    now.unwrap_or_default()
}
