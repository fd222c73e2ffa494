//! Any bytes: see `sluice_filter::fuzzing::values`.
#![no_main]
libfuzzer_sys::fuzz_target!(|bytes: &[u8]| sluice_filter::fuzzing::values(bytes));
