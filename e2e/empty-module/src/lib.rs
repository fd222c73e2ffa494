//! A dynamic module of Envoy's that does nothing, and with a name the least that a filter can do:
//! what `make bench` compares the native module with.
//!
//! Envoy calls every hook of a stream whether it does anything or not, so this is the price of
//! having a filter object at all. Under any name but the empty one, it does what the baseline filter
//! does in WebAssembly: it gets the cookie, sets the header, and has the route chosen again. That is the
//! price of Envoy's part of a decision. The hooks and their arguments are those of
//! `source/extensions/dynamic_modules/abi/abi.h` in Envoy 1.39; a hook that is not used ignores its
//! arguments, as the C calling convention allows, so that one shape serves all.

#![expect(
    unsafe_code,
    reason = "Envoy finds hooks by name, and names that are not mangled count as unsafe: two \
              libraries could define the same; its callbacks are C"
)]

use std::ffi::{c_char, c_void};
use std::ptr;

/// Text of Envoy's or of the module's, as C has it.
#[derive(Clone, Copy)]
#[repr(C)]
struct Buffer {
    bytes: *const u8,
    length: usize,
}

impl Buffer {
    const fn of(text: &'static str) -> Self {
        Self {
            bytes: text.as_ptr(),
            length: text.len(),
        }
    }
}

/// The request headers' number among Envoy's maps.
const REQUEST: u32 = 0;

/// What stands for a configuration that does nothing. Envoy refuses one that is null, so it is an
/// address that nothing is read from.
const IDLE: *const c_void = ptr::without_provenance(1);

/// What stands for one that does the least.
const LEAST: *const c_void = ptr::without_provenance(2);

/// What a headers, body or trailers hook answers so that Envoy goes on: 0, of every kind.
const CONTINUE: u32 = 0;

/// The interface that this is written for; Envoy 1.40 logs that it knows a newer one.
#[unsafe(no_mangle)]
extern "C" fn envoy_dynamic_module_on_program_init() -> *const c_char {
    c"v0.1.0".as_ptr()
}

#[unsafe(no_mangle)]
extern "C" fn envoy_dynamic_module_on_http_filter_config_new(
    _config: *mut c_void,
    name: Buffer,
) -> *const c_void {
    if name.length == 0 { IDLE } else { LEAST }
}

/// A filter is what its configuration is.
#[unsafe(no_mangle)]
extern "C" fn envoy_dynamic_module_on_http_filter_new(own: *const c_void) -> *const c_void {
    own
}

#[unsafe(no_mangle)]
extern "C" fn envoy_dynamic_module_on_http_filter_request_headers(
    stream: *mut c_void,
    own: *const c_void,
) -> u32 {
    if own == LEAST {
        least(stream);
    }
    CONTINUE
}

/// Gets the cookie, sets the header, has the route chosen again.
fn least(stream: *mut c_void) {
    let mut cookie = Buffer::of("");
    let (key, header) = (Buffer::of("cookie"), Buffer::of("x-sluice-web"));
    // SAFETY: the stream is Envoy's, in one of its hooks; the texts are static, and what the cookie
    // points to is not read.
    unsafe {
        envoy_dynamic_module_callback_http_get_header(
            stream,
            REQUEST,
            key,
            &mut cookie,
            0,
            ptr::null_mut(),
        );
        let even = cookie.length.is_multiple_of(2);
        let variant = Buffer::of(if even { "canary" } else { "stable" });
        envoy_dynamic_module_callback_http_set_header(stream, REQUEST, header, variant);
        envoy_dynamic_module_callback_http_clear_route_cache(stream);
    }
}

// SAFETY: as Envoy declares them.
unsafe extern "C" {
    fn envoy_dynamic_module_callback_http_get_header(
        stream: *mut c_void,
        map: u32,
        key: Buffer,
        value: *mut Buffer,
        index: usize,
        count: *mut usize,
    ) -> bool;
    fn envoy_dynamic_module_callback_http_set_header(
        stream: *mut c_void,
        map: u32,
        key: Buffer,
        value: Buffer,
    ) -> bool;
    fn envoy_dynamic_module_callback_http_clear_route_cache(stream: *mut c_void);
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
