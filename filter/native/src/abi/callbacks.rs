//! The functions of Envoy that are called, as Envoy 1.39 exports them.

use std::ffi::{c_char, c_void};

#[cfg(test)]
pub(super) use super::fake::*;
#[cfg(not(test))]
use super::{Buffer, Header, Raw};

#[cfg(not(test))]
unsafe extern "C" {
    pub(super) fn envoy_dynamic_module_callback_log(level: u32, line: Buffer);
    pub(super) fn envoy_dynamic_module_callback_get_concurrency() -> u32;
    pub(super) fn envoy_dynamic_module_callback_get_function(
        name: Buffer,
        function: *mut *mut c_void,
    ) -> bool;
    pub(super) fn envoy_dynamic_module_callback_register_function(
        name: Buffer,
        function: *mut c_void,
    ) -> bool;
    pub(super) fn envoy_dynamic_module_callback_http_filter_config_define_counter(
        config: Raw,
        name: Buffer,
        labels: *const Buffer,
        number: usize,
        id: *mut usize,
    ) -> u32;
    pub(super) fn envoy_dynamic_module_callback_http_filter_config_define_gauge(
        config: Raw,
        name: Buffer,
        labels: *const Buffer,
        number: usize,
        id: *mut usize,
    ) -> u32;
    pub(super) fn envoy_dynamic_module_callback_http_filter_config_define_histogram(
        config: Raw,
        name: Buffer,
        labels: *const Buffer,
        number: usize,
        id: *mut usize,
    ) -> u32;
    pub(super) fn envoy_dynamic_module_callback_http_filter_config_increment_counter(
        config: Raw,
        id: usize,
        values: *const Buffer,
        number: usize,
        by: u64,
    ) -> u32;
    pub(super) fn envoy_dynamic_module_callback_http_filter_config_set_gauge(
        config: Raw,
        id: usize,
        values: *const Buffer,
        number: usize,
        value: u64,
    ) -> u32;
    pub(super) fn envoy_dynamic_module_callback_http_filter_config_scheduler_new(
        config: Raw,
    ) -> Raw;
    pub(super) fn envoy_dynamic_module_callback_http_filter_config_scheduler_commit(
        scheduler: Raw,
        event: u64,
    );
    pub(super) fn envoy_dynamic_module_callback_http_filter_config_scheduler_delete(scheduler: Raw);
    pub(super) fn envoy_dynamic_module_callback_http_filter_config_http_callout(
        config: Raw,
        id: *mut u64,
        cluster: Buffer,
        headers: *const Header,
        number: usize,
        body: Buffer,
        milliseconds: u64,
    ) -> u32;
    pub(super) fn envoy_dynamic_module_callback_http_filter_record_histogram_value(
        stream: Raw,
        id: usize,
        values: *const Buffer,
        number: usize,
        value: u64,
    ) -> u32;
    pub(super) fn envoy_dynamic_module_callback_http_filter_get_worker_index(stream: Raw) -> u32;
    pub(super) fn envoy_dynamic_module_callback_http_get_header(
        stream: Raw,
        map: u32,
        name: Buffer,
        value: *mut Buffer,
        index: usize,
        number: *mut usize,
    ) -> bool;
    pub(super) fn envoy_dynamic_module_callback_http_get_headers_size(
        stream: Raw,
        map: u32,
    ) -> usize;
    pub(super) fn envoy_dynamic_module_callback_http_get_headers(
        stream: Raw,
        map: u32,
        headers: *mut Header,
    ) -> bool;
    pub(super) fn envoy_dynamic_module_callback_http_set_header(
        stream: Raw,
        map: u32,
        name: Buffer,
        value: Buffer,
    ) -> bool;
    pub(super) fn envoy_dynamic_module_callback_http_add_header(
        stream: Raw,
        map: u32,
        name: Buffer,
        value: Buffer,
    ) -> bool;
    pub(super) fn envoy_dynamic_module_callback_http_clear_route_cache(stream: Raw);
    pub(super) fn envoy_dynamic_module_callback_http_filter_get_attribute_string(
        stream: Raw,
        id: u32,
        value: *mut Buffer,
    ) -> bool;
    pub(super) fn envoy_dynamic_module_callback_http_get_filter_state_bytes(
        stream: Raw,
        key: Buffer,
        value: *mut Buffer,
    ) -> bool;
}

unsafe extern "C" {
    /// Of libc: whether Envoy has a function that 1.39 has not.
    pub(super) fn dlsym(handle: *mut c_void, symbol: *const c_char) -> *mut c_void;
}
