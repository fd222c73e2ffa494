//! What Envoy calls. Each hook that does something catches panics: the request then goes on with the
//! headers that it has, and of a configuration the last good one is served.

use std::ffi::{c_char, c_void};

use super::callbacks::dlsym;
use super::panics::{guarded, log_panics};
use super::{Answer, Buffer, Config, Header, Raw, Stream};
use crate::configuration::Configuration;
use crate::stream::Filter;
use sluice_core::brake::answer::MAX_BRAKES_BYTES;

/// Every status that lets Envoy go on: continue.
const CONTINUE: u32 = 0;

/// Once for each time that the library is loaded. The interface's version: Envoy warns of another one
/// than its own, so that of 1.40 where something is there that came with it.
#[unsafe(no_mangle)]
pub(super) extern "C" fn envoy_dynamic_module_on_program_init() -> *const c_char {
    guarded((), log_panics);
    let new = c"envoy_dynamic_module_callback_log_v2".as_ptr();
    // SAFETY: a null handle is RTLD_DEFAULT; the name ends in NUL.
    let is_new = unsafe { !dlsym(std::ptr::null_mut(), new).is_null() };
    match is_new {
        true => c"v0.2.0".as_ptr(),
        false => c"v0.1.0".as_ptr(),
    }
}

/// Never null: Envoy would answer 500 to everything where the configuration is its first.
#[unsafe(no_mangle)]
pub(super) extern "C" fn envoy_dynamic_module_on_http_filter_config_new(
    config: Raw,
    name: Buffer,
    received: Buffer,
) -> *const c_void {
    // SAFETY: Envoy gives its object and both texts for the time of the call.
    let (config, name, received) = unsafe { (Config::new(config), name.bytes(), received.bytes()) };
    let made = guarded(None, || Some(Configuration::new(&config, name, received)));
    let last_good = || guarded(None, || Some(Configuration::last_good(&config, name)));
    let made = made
        .or_else(last_good)
        .unwrap_or_else(Configuration::passing);
    Box::into_raw(Box::new(made)).cast()
}

/// On any thread: the one that ends the last stream.
#[unsafe(no_mangle)]
pub(super) extern "C" fn envoy_dynamic_module_on_http_filter_config_destroy(own: *const c_void) {
    guarded((), || {
        // SAFETY: made by the hook above, and destroyed once, when no stream of it is left.
        drop(unsafe { Box::from_raw(own.cast_mut().cast::<Configuration>()) });
    });
}

/// An event that was asked for by a scheduler, on the main thread.
#[unsafe(no_mangle)]
pub(super) extern "C" fn envoy_dynamic_module_on_http_filter_config_scheduled(
    config: Raw,
    own: *const c_void,
    _event: u64,
) {
    guarded((), || {
        // SAFETY: both live for the time of the call.
        let (config, own) = unsafe { (Config::new(config), &*own.cast::<Configuration>()) };
        own.tick(&config);
    });
}

/// The answer to a question, on the main thread.
#[unsafe(no_mangle)]
extern "C" fn envoy_dynamic_module_on_http_filter_config_http_callout_done(
    config: Raw,
    own: *const c_void,
    id: u64,
    result: u32,
    headers: *const Header,
    number_of_headers: usize,
    chunks: *const Buffer,
    number_of_chunks: usize,
) {
    guarded((), || {
        // SAFETY: everything lives for the time of the call.
        let (config, own) = unsafe { (Config::new(config), &*own.cast::<Configuration>()) };
        let answer = (result == 0).then(|| {
            let (headers, chunks) = ((headers, number_of_headers), (chunks, number_of_chunks));
            // SAFETY: as Envoy gives them.
            unsafe { Answer::copied(headers, chunks, MAX_BRAKES_BYTES) }
        });
        own.answered(&config, id, answer);
    });
}

/// Never null: Envoy 1.40 would answer 500.
#[unsafe(no_mangle)]
pub(super) extern "C" fn envoy_dynamic_module_on_http_filter_new(
    own: *const c_void,
    _: Raw,
) -> *mut c_void {
    // SAFETY: Envoy's object of the stream holds a reference to that of the configuration, so that the
    // configuration is destroyed after the last of its streams.
    let configuration: &'static Configuration = unsafe { &*own.cast() };
    Box::into_raw(Box::new(Filter::new(configuration))).cast()
}

#[unsafe(no_mangle)]
pub(super) extern "C" fn envoy_dynamic_module_on_http_filter_destroy(own: *mut c_void) {
    // SAFETY: made by the hook above, and destroyed once.
    guarded((), || {
        drop(unsafe { Box::from_raw(own.cast::<Filter>()) });
    });
}

#[unsafe(no_mangle)]
pub(super) extern "C" fn envoy_dynamic_module_on_http_filter_request_headers(
    stream: Raw,
    own: *mut c_void,
    _is_end: bool,
) -> u32 {
    let is_done = guarded(false, || {
        // SAFETY: both are this stream's, which only its worker touches, in one hook at a time.
        let (mut stream, own) = unsafe { (Stream::new(stream), &mut *own.cast::<Filter>()) };
        own.on_request_headers(&mut stream);
        true
    });
    if !is_done {
        // Whatever headers it has now: the route is to be that of these.
        // SAFETY: as above.
        unsafe { Stream::new(stream) }.route_again();
    }
    CONTINUE
}

/// Also without the hook above, where an earlier filter answers.
#[unsafe(no_mangle)]
pub(super) extern "C" fn envoy_dynamic_module_on_http_filter_response_headers(
    stream: Raw,
    own: *mut c_void,
    is_end: bool,
) -> u32 {
    guarded((), || {
        // SAFETY: as above.
        let (mut stream, own) = unsafe { (Stream::new(stream), &mut *own.cast::<Filter>()) };
        own.on_response_headers(&mut stream, is_end);
    });
    CONTINUE
}

/// Hooks that must be there and have nothing to do. The C calling conventions of both architectures
/// leave arguments to the caller, so that a function need not name those that it does not read.
macro_rules! nothing {
    ($($name:ident)*) => {$(
        #[unsafe(no_mangle)]
        extern "C" fn $name() -> u32 {
            CONTINUE
        }
    )*};
}

nothing! {
    envoy_dynamic_module_on_http_filter_request_body
    envoy_dynamic_module_on_http_filter_request_trailers
    envoy_dynamic_module_on_http_filter_response_body
    envoy_dynamic_module_on_http_filter_response_trailers
    envoy_dynamic_module_on_http_filter_stream_complete
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
