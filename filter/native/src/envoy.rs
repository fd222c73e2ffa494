//! This Envoy as the core's host, on the main thread: shared data of the process, log, metrics of one
//! configuration, questions to services.

use std::time::{Duration, SystemTime};

use sluice_core::brake::lease::Vm;
use sluice_core::brake::poll::{self, Caller};
use sluice_core::host::{Host, Labels, Level, Update};
use sluice_core::plan::brake::Service;

use crate::abi::{self, Config, Refusal};
use crate::node;
use crate::process::Plugin;
use crate::series::Metrics;

/// The main thread, in a hook of one configuration.
pub(crate) struct Envoy<'a> {
    /// Envoy's object.
    pub(crate) config: &'a Config<'a>,
    /// Its metrics.
    pub(crate) metrics: &'a Metrics,
    /// What outlives it.
    pub(crate) plugin: &'a Plugin,
}

impl Host for Envoy<'_> {
    fn shared_data(&self, key: &str) -> Option<Vec<u8>> {
        self.plugin.data.lock().get(key).cloned()
    }

    fn set_shared_data(&self, key: &str, value: &[u8]) {
        let mut data = self.plugin.data.lock();
        data.insert(key.to_owned(), value.to_vec());
    }

    /// Only the main thread changes anything, so nobody ever comes first.
    fn update_shared_data(
        &self,
        key: &str,
        change: &mut dyn FnMut(&[u8]) -> Option<Vec<u8>>,
    ) -> Update {
        let bytes = self.shared_data(key).unwrap_or_default();
        match change(&bytes) {
            Some(changed) => {
                self.set_shared_data(key, &changed);
                Update::Written(changed)
            }
            None => Update::Left,
        }
    }

    fn log(&self, level: Level, line: &str) {
        abi::log(level, line);
    }

    fn add_to_counter(&self, name: &str, labels: Labels<'_>, number: u64) {
        if let Some((place, id)) = self.metrics.named(name) {
            let values = values(labels);
            self.config.add(id, &values, number);
            self.plugin.series.lock().remember(place, &values, 0);
        }
    }

    fn set_gauge(&self, name: &str, labels: Labels<'_>, value: u64) {
        if let Some((place, id)) = self.metrics.named(name) {
            let values = values(labels);
            self.config.set(id, &values, value);
            self.plugin.series.lock().remember(place, &values, value);
        }
    }

    /// Workers do that with their streams.
    fn add_to_histogram(&self, _name: &str, _labels: Labels<'_>, _value: u64) {}
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
        let call = self.config.post(cluster, &headers, body, patience);
        call.map_err(|refusal| match refusal {
            Refusal::NoCluster => format!(": this proxy has no cluster {cluster}"),
            Refusal::NoHost => format!(": no host of cluster {cluster} can be called"),
        })
    }

    /// The process has one instance.
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
