//! Panics end in the function of ours that Envoy called: past it, one would end the proxy.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU32, Ordering};

use super::log;
use sluice_core::host::Level;

/// How many panics of one process are logged.
const MAX_LOGGED_PANICS: u32 = 10;

/// Runs a hook; a panic in it is logged, and gives `otherwise`.
pub(super) fn guarded<T>(otherwise: T, hook: impl FnOnce() -> T) -> T {
    // What a panic may leave half done is one request's, or behind locks that are released; the
    // counters are atomics.
    catch_unwind(AssertUnwindSafe(hook)).unwrap_or(otherwise)
}

/// The standard hook writes to stderr, and without a bound.
pub(super) fn log_panics() {
    static LOGGED: AtomicU32 = AtomicU32::new(0);
    std::panic::set_hook(Box::new(|panic| {
        if LOGGED.fetch_add(1, Ordering::Relaxed) < MAX_LOGGED_PANICS {
            let line = format!("sluice: a bug, which no request fails by: {panic}");
            log(Level::Error, &line);
        }
    }));
}
