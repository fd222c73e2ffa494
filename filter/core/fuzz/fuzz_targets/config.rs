//! Any bytes: see `sluice_core::fuzzing::config`.
#![no_main]
libfuzzer_sys::fuzz_target!(|bytes: &[u8]| sluice_core::fuzzing::config(bytes));
