//! What belongs to the process: Envoy's log, and how many workers there are.

use super::Buffer;
use super::callbacks::{
    envoy_dynamic_module_callback_get_concurrency, envoy_dynamic_module_callback_log,
};
use sluice_core::host::Level;

/// Writes a line to Envoy's log, under `dynamic_modules`. From any thread.
pub(crate) fn log(level: Level, line: &str) {
    let level = match level {
        Level::Warning => 3,
        Level::Error => 4,
    };
    // SAFETY: Envoy copies the line during the call.
    unsafe { envoy_dynamic_module_callback_log(level, Buffer::of(line.as_bytes())) };
}

/// How many workers this Envoy has. On the main thread only.
pub(crate) fn concurrency() -> usize {
    // SAFETY: called while a configuration is made, which is the main thread's.
    unsafe { envoy_dynamic_module_callback_get_concurrency() as usize }
}
