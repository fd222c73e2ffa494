//! Any bytes: see `sluice_core::fuzzing::config`.
//! What it costs is counted, and must be what every VM has.
#![no_main]

#[path = "../../tests/worst/counting.rs"]
mod counting;

/// As in tests/worst: twice what a VM may need, for pointers twice as long.
const MEGABYTES_AT_ONCE: usize = 48;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let ((), cost) = counting::cost_of(|| sluice_core::fuzzing::config(bytes));
    assert!(cost.at_once >> 20 <= MEGABYTES_AT_ONCE, "{cost:?}");
});
