//! Envoy's habits: every host call the filter makes, in bytes, with a chosen result where the host
//! has none.
//!
//! The SDK's String getters panic on what is not UTF-8, so only its byte calls are used. Metric ids
//! are kept per VM: the host makes a new id at each definition and never forgets one.

use std::borrow::Cow;
use std::cell::RefCell;
use std::collections::HashMap;
use std::time::{Duration, SystemTime};

use fnv::FnvBuildHasher;
use proxy_wasm::hostcalls;
use proxy_wasm::types::{BufferType, LogLevel, MapType, MetricType, Status};

use sluice_core::brake::question::MAX_PLACE_BYTES;
use sluice_core::host::{Host, Labels, Level, Update};
use sluice_core::plan::brake::Service;
use sluice_core::plan::{Node, NodeKind};
use sluice_core::request::{Bytes, Request};

/// Where Istio's JWT filter leaves the verified claims.
const CLAIMS: [&str; 4] = [
    "metadata",
    "filter_metadata",
    "envoy.filters.http.jwt_authn",
    "payload",
];

/// How often a change of shared data is tried again where another VM came first. Chosen: as many VMs
/// as write in the same instant; whoever finds no turn has it at its next flush.
const MAX_UPDATES: usize = 16;

/// How many wake-ups are taken out of a queue at once; of more, each comes with a callback of its own.
const MAX_WAKINGS: usize = 64;

/// The request that Envoy is asking about.
pub(crate) struct CurrentRequest;

impl Request for CurrentRequest {
    fn authority(&self) -> Option<Bytes<'_>> {
        self.header(":authority")
    }

    fn virtual_host(&self) -> Option<Bytes<'_>> {
        property(&["xds", "virtual_host_name"]).map(Cow::Owned)
    }

    fn path(&self) -> Option<Bytes<'_>> {
        self.header(":path")
    }

    fn header(&self, name: &str) -> Option<Bytes<'_>> {
        hostcalls::get_map_value_bytes(MapType::HttpRequestHeaders, name)
            .ok()
            .flatten()
            .map(Cow::Owned)
    }

    // Envoy hands out any JSON value as bytes: numbers as a double, lists and maps serialised. Only
    // strings identify anybody, and only they are text without control characters.
    fn claim(&self, name: &str) -> Option<Bytes<'_>> {
        let path = CLAIMS.into_iter().chain([name]).collect();
        let value = hostcalls::get_property(path).ok().flatten()?;
        let is_text =
            std::str::from_utf8(&value).is_ok_and(|text| !text.chars().any(char::is_control));
        is_text.then_some(Cow::Owned(value))
    }

    fn source_address(&self) -> Option<Bytes<'_>> {
        property(&["source", "address"]).map(Cow::Owned)
    }

    fn random(&self) -> Option<[u8; 16]> {
        let mut random = [0; 16];
        getrandom::fill(&mut random).ok()?;
        Some(random)
    }
}

/// This Envoy.
pub(crate) struct Envoy;

impl Host for Envoy {
    fn shared_data(&self, key: &str) -> Option<Vec<u8>> {
        hostcalls::get_shared_data(key).ok()?.0
    }

    // Without a version to compare with: losing a race is losing to an equally new value.
    fn set_shared_data(&self, key: &str, value: &[u8]) {
        let _ = hostcalls::set_shared_data(key, Some(value), None);
    }

    fn update_shared_data(
        &self,
        key: &str,
        change: &mut dyn FnMut(&[u8]) -> Option<Vec<u8>>,
    ) -> Update {
        for _ in 0..MAX_UPDATES {
            let (bytes, version) = hostcalls::get_shared_data(key).unwrap_or_default();
            let Some(changed) = change(&bytes.unwrap_or_default()) else {
                return Update::Left;
            };
            // Where there is nothing yet there is no version to compare with: whoever configures
            // writes each key first, so that this is before anything is seen.
            match hostcalls::set_shared_data(key, Some(&changed), version) {
                Ok(()) => return Update::Written(changed),
                Err(Status::CasMismatch) => {}
                Err(_) => return Update::Lost,
            }
        }
        Update::Lost
    }

    fn log(&self, level: Level, line: &str) {
        let level = match level {
            Level::Warning => LogLevel::Warn,
            Level::Error => LogLevel::Error,
        };
        let _ = hostcalls::log(level, line);
    }

    fn add_to_counter(&self, name: &str, labels: Labels<'_>, number: u64) {
        if let Some(id) = metric(MetricType::Counter, name, labels) {
            let _ = hostcalls::increment_metric(id, i64::try_from(number).unwrap_or(i64::MAX));
        }
    }

    fn set_gauge(&self, name: &str, labels: Labels<'_>, value: u64) {
        record(MetricType::Gauge, name, labels, value);
    }

    fn add_to_histogram(&self, name: &str, labels: Labels<'_>, value: u64) {
        record(MetricType::Histogram, name, labels, value);
    }
}

fn record(kind: MetricType, name: &str, labels: Labels<'_>, value: u64) {
    if let Some(id) = metric(kind, name, labels) {
        let _ = hostcalls::record_metric(id, value);
    }
}

/// Replaces every value of a request header by one. The host refuses only where there is no request
/// any more.
pub(crate) fn set_request_header(name: &str, value: &str) {
    let _ =
        hostcalls::set_map_value_bytes(MapType::HttpRequestHeaders, name, Some(value.as_bytes()));
}

/// Removes every value of a request header.
pub(crate) fn remove_request_header(name: &str) {
    let _ = hostcalls::remove_map_value(MapType::HttpRequestHeaders, name);
}

/// All request headers. The call panics on a name that is no text; Envoy refuses requests with one
/// (envoyproxy/envoy#27738).
pub(crate) fn request_headers() -> Vec<(String, Vec<u8>)> {
    hostcalls::get_map_bytes(MapType::HttpRequestHeaders).unwrap_or_default()
}

/// A response header's first value.
pub(crate) fn response_header(name: &str) -> Option<Vec<u8>> {
    hostcalls::get_map_value_bytes(MapType::HttpResponseHeaders, name)
        .ok()
        .flatten()
}

/// Every value of a response header, joined with a comma: the call above gives the first line only.
pub(crate) fn response_headers(name: &str) -> Option<Vec<u8>> {
    property(&["response", "headers", name])
}

/// Replaces every value of a response header by one.
pub(crate) fn set_response_header(name: &str, value: &[u8]) {
    let _ = hostcalls::set_map_value_bytes(MapType::HttpResponseHeaders, name, Some(value));
}

/// Adds a value to a response header.
pub(crate) fn add_response_header(name: &str, value: &[u8]) {
    let _ = hostcalls::add_map_value_bytes(MapType::HttpResponseHeaders, name, value);
}

/// Posts JSON to a service. The token of the call; why there is none, as the end of a line. Envoy refuses
/// a cluster that it does not know, or that has no host, at once.
pub(crate) fn post(
    service: &Service,
    path: &str,
    json: &str,
    patience: Duration,
) -> Result<u32, String> {
    let headers = vec![
        (":method", "POST"),
        (":scheme", "http"),
        (":path", path),
        (":authority", &*service.authority),
        ("content-type", "application/json"),
        // Where one replica is gone and still listed, Envoy tries another one at once.
        ("x-envoy-retry-on", "connect-failure"),
        ("x-envoy-max-retries", "3"),
    ];
    let body = Some(json.as_bytes());
    let call = hostcalls::dispatch_http_call(&service.cluster, headers, body, Vec::new(), patience);
    call.map_err(|status| match status {
        Status::BadArgument => format!(": this proxy has no cluster {}", service.cluster),
        _ => format!(": no host of cluster {} can be called", service.cluster),
    })
}

/// A header of the response to a call.
pub(crate) fn call_response_header(name: &str) -> Option<Vec<u8>> {
    hostcalls::get_map_value_bytes(MapType::HttpCallResponseHeaders, name)
        .ok()
        .flatten()
}

/// The body of the response to a call, of which at most so many bytes.
pub(crate) fn call_response_body(most: usize) -> Vec<u8> {
    hostcalls::get_buffer(BufferType::HttpCallResponseBody, 0, most)
        .ok()
        .flatten()
        .unwrap_or_default()
}

/// The queue of this name, whose wake-ups go to the root context that asked for it last.
pub(crate) fn queue(name: &str) -> Option<u32> {
    hostcalls::register_shared_queue(name).ok()
}

/// Wakes the root context at a queue.
pub(crate) fn wake(queue: u32) {
    let _ = hostcalls::enqueue_shared_queue(queue, Some(&[1]));
}

/// Takes what woke this root context out of its queue.
pub(crate) fn empty_queue(queue: u32) {
    for _ in 0..MAX_WAKINGS {
        let Ok(Some(_)) = hostcalls::dequeue_shared_queue(queue) else {
            return;
        };
    }
}

/// The plugin configuration as received.
pub(crate) fn plugin_configuration() -> Vec<u8> {
    hostcalls::get_buffer(BufferType::PluginConfiguration, 0, usize::MAX)
        .ok()
        .flatten()
        .unwrap_or_default()
}

/// The plugin's name, as Envoy has it: in Istio, namespace and resource name.
pub(crate) fn plugin_name() -> String {
    property(&["plugin_name"])
        .map(|name| String::from_utf8_lossy(&name).into_owned())
        .unwrap_or_default()
}

/// This Envoy's id.
pub(crate) fn node_id() -> String {
    let id = property(&["xds", "node", "id"]).unwrap_or_default();
    let id = String::from_utf8_lossy(&id);
    id.chars().take(MAX_PLACE_BYTES / 4).collect()
}

/// What this Envoy says of itself.
pub(crate) fn node() -> Node {
    let kind = NodeKind::of_node_id(&property(&["xds", "node", "id"]).unwrap_or_default());
    let namespace = property(&["xds", "node", "metadata", "NAMESPACE"])
        .and_then(|name| String::from_utf8(name).ok());
    Node { kind, namespace }
}

fn property(path: &[&str]) -> Option<Vec<u8>> {
    hostcalls::get_property(path.to_vec()).ok().flatten()
}

/// Time since the epoch; zero when the host has no clock.
pub(crate) fn now() -> Duration {
    let now = hostcalls::get_current_time()
        .ok()
        .and_then(|now| now.duration_since(SystemTime::UNIX_EPOCH).ok());
    now.unwrap_or_default()
}

/// Asks for a tick each `period`.
pub(crate) fn set_tick_period(period: Duration) {
    let _ = hostcalls::set_tick_period(period);
}

/// The id of a metric, which is created when it is first needed. Labels are named as Istio's
/// extraStatTags expect them: `sluice_split=.=web;.;…sluice_decisions_total`.
fn metric(kind: MetricType, name: &str, labels: Labels<'_>) -> Option<u32> {
    thread_local!(static IDS: RefCell<HashMap<String, u32, FnvBuildHasher>> = RefCell::default());
    let mut full_name = String::with_capacity(64);
    for (label, value) in labels {
        full_name.extend(["sluice_", label, "=.=", value, ";.;"]);
    }
    full_name.extend(["sluice_", name]);
    IDS.with_borrow_mut(|ids| {
        if let Some(&id) = ids.get(&full_name) {
            return Some(id);
        }
        let id = hostcalls::define_metric(kind, &full_name).ok()?;
        ids.insert(full_name, id);
        Some(id)
    })
}
