//! Envoy's object of one request, on its worker: headers, attributes, filter state.

use std::marker::PhantomData;

use super::callbacks::{
    envoy_dynamic_module_callback_http_add_header as add_header,
    envoy_dynamic_module_callback_http_clear_route_cache as clear_route_cache,
    envoy_dynamic_module_callback_http_filter_get_attribute_string as get_attribute,
    envoy_dynamic_module_callback_http_filter_get_worker_index as get_worker_index,
    envoy_dynamic_module_callback_http_filter_record_histogram_value as record_histogram,
    envoy_dynamic_module_callback_http_get_filter_state_bytes as get_filter_state,
    envoy_dynamic_module_callback_http_get_header as get_header,
    envoy_dynamic_module_callback_http_get_headers as get_headers,
    envoy_dynamic_module_callback_http_get_headers_size as get_headers_size,
    envoy_dynamic_module_callback_http_set_header as set_header,
};
use super::config::buffers;
use super::{Buffer, Header, MetricId, Raw};

/// `source.address` in Envoy's list of attributes.
const SOURCE_ADDRESS: u32 = 24;

/// Which headers of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub(crate) enum Headers {
    /// Those of the request.
    Request = 0,
    /// Those of the response.
    Response = 2,
}

/// A stream, for the time of a hook. What is read of it points into Envoy's memory, and is gone when
/// something is set: hence `&mut`.
#[derive(Debug)]
pub(crate) struct Stream<'h> {
    raw: Raw,
    hook: PhantomData<&'h mut ()>,
}

impl<'h> Stream<'h> {
    /// # Safety
    /// It must be Envoy's object of a stream that lives for `'h`, on the stream's worker.
    pub(super) unsafe fn new(raw: Raw) -> Self {
        Self {
            raw,
            hook: PhantomData,
        }
    }

    /// The number of this worker: below [`super::concurrency`].
    #[inline]
    pub(crate) fn worker(&self) -> usize {
        // SAFETY: the stream lives.
        unsafe { get_worker_index(self.raw) as usize }
    }

    /// A header's first value; the name is in lower case.
    #[inline]
    pub(crate) fn header(&self, headers: Headers, name: &str) -> Option<&[u8]> {
        self.header_at(headers, name, 0)
    }

    /// A header's value by its place among several.
    pub(crate) fn header_at(&self, headers: Headers, name: &str, index: usize) -> Option<&[u8]> {
        let (mut value, name) = (Buffer::EMPTY, Buffer::of(name.as_bytes()));
        let map = headers as u32;
        let number = std::ptr::null_mut();
        // SAFETY: the stream lives; a null for the number says that it is not wanted.
        let is_there = unsafe { get_header(self.raw, map, name, &mut value, index, number) };
        // SAFETY: Envoy's memory, unchanged until something is set, for which `&mut` is needed.
        is_there.then(|| unsafe { value.bytes() })
    }

    /// The names of all headers; those that are no UTF-8 are left out.
    pub(crate) fn names(&self, headers: Headers) -> Vec<&str> {
        let none = Header {
            name: Buffer::EMPTY,
            value: Buffer::EMPTY,
        };
        let map = headers as u32;
        // SAFETY: the stream lives; there is room for as many as it says.
        let all = unsafe {
            let mut all = vec![none; get_headers_size(self.raw, map)];
            match get_headers(self.raw, map, all.as_mut_ptr()) {
                true => all,
                false => Vec::new(),
            }
        };
        // SAFETY: as for one header.
        let names = all.into_iter().map(|header| unsafe { header.name.bytes() });
        names
            .filter_map(|name| std::str::from_utf8(name).ok())
            .collect()
    }

    /// Replaces every value of a header by one.
    #[inline]
    pub(crate) fn set(&mut self, headers: Headers, name: &str, value: &[u8]) {
        let (name, value) = (Buffer::of(name.as_bytes()), Buffer::of(value));
        // SAFETY: the stream lives; Envoy copies both.
        unsafe { set_header(self.raw, headers as u32, name, value) };
    }

    /// Removes every value of a header.
    pub(crate) fn remove(&mut self, headers: Headers, name: &str) {
        let name = Buffer::of(name.as_bytes());
        // SAFETY: as above; a null value removes.
        unsafe { set_header(self.raw, headers as u32, name, Buffer::EMPTY) };
    }

    /// Adds a value to a header.
    pub(crate) fn add(&mut self, headers: Headers, name: &str, value: &[u8]) {
        let (name, value) = (Buffer::of(name.as_bytes()), Buffer::of(value));
        // SAFETY: as above.
        unsafe { add_header(self.raw, headers as u32, name, value) };
    }

    /// Has the route chosen again: it was before any filter ran.
    #[inline]
    pub(crate) fn route_again(&mut self) {
        // SAFETY: the stream lives.
        unsafe { clear_route_cache(self.raw) };
    }

    /// The client's address that Envoy trusts, with its port.
    pub(crate) fn source_address(&self) -> Option<&[u8]> {
        let mut value = Buffer::EMPTY;
        // SAFETY: the stream lives.
        let is_there = unsafe { get_attribute(self.raw, SOURCE_ADDRESS, &mut value) };
        // SAFETY: Envoy's memory, as for a header.
        is_there.then(|| unsafe { value.bytes() })
    }

    /// What a filter before this one left under a key.
    pub(crate) fn filter_state(&self, key: &str) -> Option<&[u8]> {
        let (key, mut value) = (Buffer::of(key.as_bytes()), Buffer::EMPTY);
        // SAFETY: the stream lives.
        let is_there = unsafe { get_filter_state(self.raw, key, &mut value) };
        // SAFETY: Envoy's memory, as for a header.
        is_there.then(|| unsafe { value.bytes() })
    }

    /// Adds a value to a histogram.
    pub(crate) fn record(&self, MetricId(id): MetricId, labels: &[&str], value: u64) {
        if let Some(buffers) = buffers(labels) {
            // SAFETY: the stream lives; Envoy copies the labels.
            unsafe { record_histogram(self.raw, id, buffers.as_ptr(), labels.len(), value) };
        }
    }
}
