//! Envoy's object of one configuration: metrics, the main thread's events, questions to services.

use std::marker::PhantomData;
use std::time::Duration;

use super::callbacks::{
    envoy_dynamic_module_callback_http_filter_config_define_counter as define_counter,
    envoy_dynamic_module_callback_http_filter_config_define_gauge as define_gauge,
    envoy_dynamic_module_callback_http_filter_config_define_histogram as define_histogram,
    envoy_dynamic_module_callback_http_filter_config_http_callout as callout,
    envoy_dynamic_module_callback_http_filter_config_increment_counter as increment_counter,
    envoy_dynamic_module_callback_http_filter_config_scheduler_commit as scheduler_commit,
    envoy_dynamic_module_callback_http_filter_config_scheduler_delete as scheduler_delete,
    envoy_dynamic_module_callback_http_filter_config_scheduler_new as scheduler_new,
    envoy_dynamic_module_callback_http_filter_config_set_gauge as set_gauge,
};
use super::{Buffer, Header, Raw};
use sluice_core::host::Kind;

/// The most labels that a metric has.
pub(super) const LABELS: usize = 5;

/// A configuration, on the main thread and for the time of a hook.
#[derive(Debug)]
pub(crate) struct Config<'h> {
    raw: Raw,
    hook: PhantomData<&'h ()>,
}

/// A metric of a configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct MetricId(pub(super) usize);

/// Why a question was not posted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// There is no such cluster.
    NoCluster,
    /// It cannot be called: no host of it is well.
    NoHost,
}

/// What was answered to a question.
#[derive(Debug)]
pub(crate) struct Answer {
    /// `:status`.
    pub(crate) status: Vec<u8>,
    /// The body, up to what was to be read.
    pub(crate) body: Vec<u8>,
    /// How many bytes the whole body has.
    pub(crate) body_size: usize,
}

impl Answer {
    /// # Safety
    /// Both must point to so many, readable during the call, or be null.
    pub(super) unsafe fn copied(
        headers: (*const Header, usize),
        chunks: (*const Buffer, usize),
        most: usize,
    ) -> Self {
        // SAFETY: the caller vouches for both.
        let (headers, chunks) = unsafe { (slice(headers), slice(chunks)) };
        let mut answer = Self {
            status: Vec::new(),
            body: Vec::new(),
            body_size: 0,
        };
        for header in headers {
            // SAFETY: readable during the call.
            let (name, value) = unsafe { (header.name.bytes(), header.value.bytes()) };
            if name == b":status" {
                answer.status = value.to_vec();
            }
        }
        for chunk in chunks {
            // SAFETY: readable during the call.
            let chunk = unsafe { chunk.bytes() };
            answer.body_size += chunk.len();
            let room = most - answer.body.len().min(most);
            answer.body.extend(chunk.iter().take(room));
        }
        answer
    }
}

unsafe fn slice<'a, T>((pointer, number): (*const T, usize)) -> &'a [T] {
    if pointer.is_null() || number == 0 {
        return &[];
    }
    // SAFETY: not null; the caller vouches for the rest.
    unsafe { std::slice::from_raw_parts(pointer, number) }
}

impl<'h> Config<'h> {
    /// # Safety
    /// It must be Envoy's object of a configuration that lives for `'h`, on the main thread.
    pub(super) unsafe fn new(raw: Raw) -> Self {
        Self {
            raw,
            hook: PhantomData,
        }
    }

    /// Defines a metric, of which nothing is shown before it is used. Only while the configuration is
    /// made; `None`: Envoy refuses it.
    pub(crate) fn define(&self, kind: Kind, name: &str, labels: &[&str]) -> Option<MetricId> {
        let (buffers, mut id) = (buffers(labels)?, 0);
        let define = match kind {
            Kind::Counter => define_counter,
            Kind::Gauge => define_gauge,
            Kind::Histogram => define_histogram,
        };
        let name = Buffer::of(name.as_bytes());
        // SAFETY: the object lives; Envoy copies names and labels, and writes the id.
        let result = unsafe { define(self.raw, name, buffers.as_ptr(), labels.len(), &mut id) };
        (result == 0).then_some(MetricId(id))
    }

    /// Adds to a counter, which is created by it.
    pub(crate) fn add(&self, MetricId(id): MetricId, values: &[&str], by: u64) {
        if let Some(buffers) = buffers(values) {
            // SAFETY: as above; the main thread is the only one that may do this.
            unsafe { increment_counter(self.raw, id, buffers.as_ptr(), values.len(), by) };
        }
    }

    /// Sets a gauge.
    pub(crate) fn set(&self, MetricId(id): MetricId, values: &[&str], value: u64) {
        if let Some(buffers) = buffers(values) {
            // SAFETY: as above.
            unsafe { set_gauge(self.raw, id, buffers.as_ptr(), values.len(), value) };
        }
    }

    /// What asks for the main thread, from any thread.
    pub(crate) fn scheduler(&self) -> Scheduler {
        // SAFETY: the object lives; what is returned is ours until it is deleted.
        Scheduler(unsafe { scheduler_new(self.raw) })
    }

    /// Posts a body to a cluster. The number by which its answer comes.
    pub(crate) fn post(
        &self,
        cluster: &str,
        headers: &[(&str, &str)],
        body: &[u8],
        patience: Duration,
    ) -> Result<u64, Refusal> {
        let header = |(name, value): &(&str, &str)| Header {
            name: Buffer::of(name.as_bytes()),
            value: Buffer::of(value.as_bytes()),
        };
        let headers: Vec<Header> = headers.iter().map(header).collect();
        let (cluster, body) = (Buffer::of(cluster.as_bytes()), Buffer::of(body));
        let milliseconds = u64::try_from(patience.as_millis()).unwrap_or(u64::MAX);
        let mut id = 0;
        // SAFETY: Envoy copies everything during the call, and writes the id.
        let result = unsafe {
            let (headers, number) = (headers.as_ptr(), headers.len());
            callout(
                self.raw,
                &mut id,
                cluster,
                headers,
                number,
                body,
                milliseconds,
            )
        };
        match result {
            0 => Ok(id),
            2 => Err(Refusal::NoCluster),
            _ => Err(Refusal::NoHost),
        }
    }
}

/// Texts as Envoy takes them; `None`: more than any metric has.
pub(super) fn buffers(texts: &[&str]) -> Option<[Buffer; LABELS]> {
    let mut buffers = [Buffer::EMPTY; LABELS];
    let places = buffers.get_mut(..texts.len())?;
    for (place, text) in places.iter_mut().zip(texts) {
        *place = Buffer::of(text.as_bytes());
    }
    Some(buffers)
}

/// What asks for the main thread.
#[derive(Debug)]
pub(crate) struct Scheduler(Raw);

// SAFETY: Envoy's object holds a weak pointer to the configuration and the main thread's dispatcher,
// whose `post` any thread may call: this is what it is there for.
unsafe impl Send for Scheduler {}
// SAFETY: the same.
unsafe impl Sync for Scheduler {}

impl Scheduler {
    /// Has the configuration's event called on the main thread, if it lives then.
    pub(crate) fn commit(&self) {
        // SAFETY: not deleted before it is dropped; any thread may call it.
        unsafe { scheduler_commit(self.0, 0) };
    }
}

impl Drop for Scheduler {
    fn drop(&mut self) {
        // SAFETY: made by `scheduler_new`, and deleted once.
        unsafe { scheduler_delete(self.0) };
    }
}
