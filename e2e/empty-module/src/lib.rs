//! A dynamic module of Envoy's that does nothing: what `make bench` compares the native module
//! with, and what the tests of `make native` check before there is anything else to check.
//!
//! Envoy calls every hook of a stream whether it does anything or not, so this is the price of
//! having a filter object at all. It asks Envoy for nothing. The hooks and their arguments are
//! those of `source/extensions/dynamic_modules/abi/abi.h` in Envoy 1.39; a hook that is not used
//! ignores its arguments, as the C calling convention allows, so that one shape serves all.

#![expect(
    unsafe_code,
    reason = "Envoy finds hooks by name, and names that are not mangled count as unsafe: two \
              libraries could define the same"
)]

use std::ffi::{c_char, c_void};
use std::ptr::{self, NonNull};

/// What a headers, body or trailers hook answers so that Envoy goes on: 0, of every kind.
const CONTINUE: u32 = 0;

/// The interface that this is written for; Envoy 1.40 logs that it knows a newer one.
#[unsafe(no_mangle)]
extern "C" fn envoy_dynamic_module_on_program_init() -> *const c_char {
    c"v0.1.0".as_ptr()
}

/// Envoy refuses a configuration that is null, so this is any other address: nothing is there.
#[unsafe(no_mangle)]
extern "C" fn envoy_dynamic_module_on_http_filter_config_new() -> *const c_void {
    NonNull::<c_void>::dangling().as_ptr()
}

/// As for the configuration: an address that nothing is read from.
#[unsafe(no_mangle)]
extern "C" fn envoy_dynamic_module_on_http_filter_new() -> *const c_void {
    NonNull::<c_void>::dangling().as_ptr()
}

/// There is no configuration of routes. Null is refused by Envoy, which is right: it was asked for
/// what is not there.
#[unsafe(no_mangle)]
extern "C" fn envoy_dynamic_module_on_http_filter_per_route_config_new() -> *const c_void {
    ptr::null()
}

/// Hooks that do nothing and answer 0.
macro_rules! idle {
    ($($name:ident)*) => {
        $(
            #[unsafe(no_mangle)]
            extern "C" fn $name() -> u32 {
                CONTINUE
            }
        )*
    };
}

idle! {
    envoy_dynamic_module_on_http_filter_config_destroy
    envoy_dynamic_module_on_http_filter_per_route_config_destroy
    envoy_dynamic_module_on_http_filter_request_headers
    envoy_dynamic_module_on_http_filter_request_body
    envoy_dynamic_module_on_http_filter_request_trailers
    envoy_dynamic_module_on_http_filter_response_headers
    envoy_dynamic_module_on_http_filter_response_body
    envoy_dynamic_module_on_http_filter_response_trailers
    envoy_dynamic_module_on_http_filter_stream_complete
    envoy_dynamic_module_on_http_filter_destroy
    envoy_dynamic_module_on_http_filter_scheduled
    envoy_dynamic_module_on_http_filter_http_callout_done
    envoy_dynamic_module_on_http_filter_http_stream_headers
    envoy_dynamic_module_on_http_filter_http_stream_data
    envoy_dynamic_module_on_http_filter_http_stream_trailers
    envoy_dynamic_module_on_http_filter_http_stream_complete
    envoy_dynamic_module_on_http_filter_http_stream_reset
    envoy_dynamic_module_on_http_filter_downstream_above_write_buffer_high_watermark
    envoy_dynamic_module_on_http_filter_downstream_below_write_buffer_low_watermark
}
