# Every command of the project. Bare `make` prints them.
.DEFAULT_GOAL := help
SHELL := bash
.SHELLFLAGS := -euo pipefail -c

TARGET := $(abspath $(or $(CARGO_TARGET_DIR),target))
TOOLS := $(TARGET)/tools
WASM := $(TARGET)/wasm/sluice.wasm
export SLUICE_MODULE ?= $(WASM)

include tools/versions.mk
include tools/tools.mk
include tools/istio.mk
include tools/image.mk
include tools/native.mk
include tools/krew.mk
include tools/docs.mk
include tools/pipelines.mk
include tools/release.mk

.PHONY: help
help: ## print this
	@grep -hE '^[a-z0-9-]+:.*##' Makefile tools/*.mk | sed -E 's/:.*## /\t/' | expand -t 14

# What rust-toolchain.toml names, also where rustup does not install it by itself
# (RUSTUP_AUTO_INSTALL=0).
.PHONY: toolchain
toolchain:
	@command -v rustup >/dev/null || { echo "rustup is missing: see rustup.rs"; exit 1; }
	@rustup -q toolchain install --no-self-update >/dev/null
	@rustup -q target add wasm32-wasip1 wasm32-unknown-unknown
	@rustup -q component add clippy rustfmt

.PHONY: demo
demo: $(if $(NATIVE),native,wasm) envoy ## two minutes of real traffic: 2,000 users, a ramp, an abort, three rollouts, and what was measured (NATIVE=1 for the native module)
	-@$(MAKE) -s prometheus || echo "no Prometheus: rollouts are watched through Envoy's own figures"
	cargo build -q --locked --release -p sluice -p sluice-e2e --bin sluice --bin demo
	$(TARGET)/release/demo $(if $(NATIVE),--native)

.PHONY: test
test: test-core test-e2e test-module test-native docs ## every test: units, promises, core in WebAssembly, CLI, cases and behaviours in a real Envoy
	@echo "every test passed"

.PHONY: test-core
test-core: toolchain $(WASM_BINDGEN_RUNNER) ## tests that need no Envoy
	cargo test -q --locked --workspace --exclude sluice-e2e --exclude sluice-e2e-istio
	CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_RUNNER=$(WASM_BINDGEN_RUNNER) \
	  cargo test --locked -p sluice-core --lib --target wasm32-unknown-unknown

.PHONY: test-e2e
test-e2e: wasm native envoy prometheus ## tests in a real Envoy, with both modules, and with a real Prometheus
	cargo build -q --locked -p sluice
	cargo test --locked --no-fail-fast -p sluice-e2e

# In namespaces of its own (unshare): its ports are nobody else's, and whatever it starts ends with
# it. A debug build of sluice is good enough for all but the figures of the speed tests.
ISTIO_PROFILE := $(if $(findstring speed,$(ONLY)),release,debug)
# Two chains side by side take some two thirds of the time; figures are measured by one.
ISTIO_PARTS ?= $(if $(findstring speed,$(ONLY)),1,2)
ISTIO_ENVIRONMENT = GO_BIN=$(GO_BIN) DEBIAN_BIN=$(TOOLS)/debian/usr/bin SLUICE=$(TARGET)/$(ISTIO_PROFILE)/sluice

.PHONY: e2e-istio
e2e-istio: e2e-istio-build ## tests in a real Istio: API server, istiod, agents, registry, Prometheus (ONLY=name for some)
	@# In the tests' own folder, as cargo runs them.
	cd e2e/istio && $(ISTIO_ENVIRONMENT) ../../tools/istio-parts.sh $(ISTIO_PARTS) "$$(cargo test -q --locked $(HARNESS) -p sluice-e2e-istio \
	  --test istio --no-run --message-format json | grep -o '"executable":"[^"]*"' | tail -1 | cut -d'"' -f4)" $(ONLY)

.PHONY: e2e-istio-build
e2e-istio-build: wasm native envoy istio
	cargo build -q --locked -p sluice $(if $(filter release,$(ISTIO_PROFILE)),--release)

RUNS ?= 10

.PHONY: e2e-istio-repeat
e2e-istio-repeat: e2e-istio-build ## the same RUNS times in a row, one line a run; BUSY=1 beside a busy loop on one core
	$(ISTIO_ENVIRONMENT) tools/repeat-istio.sh $(RUNS) $(or $(BUSY),0) "$$(cargo test -q --locked -p sluice-e2e-istio \
	  --test istio --no-run --message-format json | grep -o '"executable":"[^"]*"' | tail -1 | cut -d'"' -f4)" $(ONLY)

FUZZ := filter/core/fuzz/Cargo.toml

.PHONY: lint
lint: toolchain $(CARGO_DENY) check-pipelines ## formatting, lints, documentation, dependencies; warnings are errors
	cargo fmt --all --check
	cargo clippy -q --locked --workspace --all-targets -- -D warnings
	cargo clippy -q --locked -p sluice-filter -p baseline --lib --target wasm32-wasip1 -- -D warnings
	RUSTDOCFLAGS='-D warnings' cargo doc -q --locked --workspace --no-deps
	$(CARGO_DENY) --locked -L warn check -D warnings -A license-exception-not-encountered \
	  licenses sources bans
	$(CARGO_DENY) --locked -L warn --manifest-path $(FUZZ) --config deny.toml check \
	  -A license-not-encountered -A unmatched-skip licenses sources bans

# Not part of `make lint`: what was good yesterday may fail today, and where GitHub is out of reach
# it always fails.
.PHONY: advisories
advisories: $(CARGO_DENY) ## known vulnerabilities of dependencies; needs GitHub, where their database is
	$(CARGO_DENY) --locked check advisories
	$(CARGO_DENY) --locked --manifest-path $(FUZZ) --config deny.toml check advisories

# The callbacks that the filter implements; every other export of the SDK is removed.
EXPORTS := memory _initialize proxy_abi_version_0_2_1 proxy_on_memory_allocate proxy_on_context_create proxy_on_delete \
  proxy_on_request_headers
FILTER_EXPORTS := $(EXPORTS) proxy_on_vm_start proxy_on_configure proxy_on_tick proxy_on_response_headers \
  proxy_on_http_call_response proxy_on_queue_ready
# What V8 and the compiler agree on by default.
WASM_FEATURES := --enable-bulk-memory --enable-bulk-memory-opt --enable-sign-ext --enable-nontrapping-float-to-int \
  --enable-mutable-globals --enable-multivalue --enable-reference-types

# The same bytes whatever the checkout's and cargo's folders are called: panics name source files.
REMAPPED := --remap-path-prefix=$(or $(CARGO_HOME),$(HOME)/.cargo)=cargo --remap-path-prefix=$(CURDIR)=sluice

# $(call link,PACKAGE,OUT,EXPORTS): builds a module, removes unused exports, optimises what is left.
# The latter two take longest and are left out while cargo's module is the one that they were done
# with.
define link
RUSTFLAGS="$(REMAPPED)" cargo rustc -q --locked -p $(1) --lib --crate-type cdylib --target wasm32-wasip1 --profile wasm
@mkdir -p $(dir $(2))
@built=$(TARGET)/wasm32-wasip1/wasm/$(subst -,_,$(1)).wasm; \
if [ -f $(2) ] && [ -z "$$(find $$built Makefile tools/strip-exports $(WASM_OPT) -newer $(2))" ]; then exit; fi; set -x; \
cargo run -q --locked --release -p strip-exports -- $$built $(2).stripped $(3); \
node $(WASM_OPT) -O3 --converge --strip-producers --strip-target-features $(WASM_FEATURES) $(2).stripped -o $(2).new; \
rm $(2).stripped; mv $(2).new $(2)
endef

.PHONY: wasm
wasm: toolchain $(WASM_OPT) ## build the filter's module and print its size
	$(call link,sluice-filter,$(WASM),$(FILTER_EXPORTS))
	@printf '%s: %s bytes, %s gzipped\n' $(WASM) "$$(stat -c %s $(WASM))" "$$(gzip -9 -c $(WASM) | wc -c)"

# Built once more from a copy of the sources elsewhere, with nothing built before.
AGAIN := $(TARGET)/again

.PHONY: test-module
test-module: wasm ## the module is the same bytes wherever and whenever it is built
	@rm -rf $(AGAIN) && mkdir -p $(AGAIN)/sources/target
	@git ls-files -z | tar -c --null -T - | tar -x -C $(AGAIN)/sources
	@ln -s $(TOOLS) $(AGAIN)/sources/target/tools
	$(MAKE) -s -C $(AGAIN)/sources wasm CARGO_TARGET_DIR=$(AGAIN)/sources/target
	cmp $(WASM) $(AGAIN)/sources/target/wasm/sluice.wasm
	@rm -rf $(AGAIN)

BASELINE := $(TARGET)/wasm/baseline.wasm

.PHONY: bench
bench: wasm native empty-native envoy $(WRK) ## the figures of BENCHMARKS.md, measured now (ONLY=--native, --brake, --observed, --guard, --worst, --rollouts for some)
	$(call link,baseline,$(BASELINE),$(EXPORTS))
	cargo build -q --locked --release -p sluice -p sluice-e2e --bin sluice --bin bench
	BASELINE_MODULE=$(BASELINE) EMPTY_LIBRARY=$(EMPTY_LIBRARY) WRK=$(WRK) DECIDE_BENCH="$$(cargo bench -q --locked -p sluice-core --bench decide \
	  --no-run --message-format json | grep -o '"executable":"[^"]*decide-[^"]*"' | cut -d'"' -f4)" $(TARGET)/release/bench $(ONLY)

.PHONY: bench-rollouts
bench-rollouts: ## ten thousand Rollouts on a real API server: memory, due steps, aborts idle and in a burst
	$(MAKE) e2e-istio ONLY=speed_of_rollouts

.PHONY: bench-brakes
bench-brakes: ## ten thousand proxies that ask one controller for brakes: memory, the last to be told, restarts, idle connections
	$(MAKE) e2e-istio ONLY=speed_of_brakes HARNESS=--release

.PHONY: golden
golden: ## rewrite what tests compare with; review the difference like code
	cargo build -q --locked -p sluice
	GOLDEN=1 cargo test -q --locked -p sluice --tests
	GOLDEN=1 cargo test -q --locked -p sluice-e2e --test cases decide
	GOLDEN=1 cargo test -q --locked -p sluice-e2e --test responses the_core

.PHONY: manifests
manifests: ## render wasmplugin/ and its pages again; `make test` fails while they differ
	GOLDEN=1 cargo test -q --locked -p sluice --test manifests --test chart
	GOLDEN=1 cargo test -q --locked -p sluice-monitoring --test generated

FUZZ_SECONDS ?= 60
# What a target may hold with its corpus; what one configuration may, it counts itself.
FUZZ_MEGABYTES ?= 1024

.PHONY: fuzz
fuzz: $(CARGO_FUZZ) ## fuzz the config reader, the value parsers and decide(), FUZZ_SECONDS each
	cargo run -q --locked -p sluice-e2e --bin fuzz-seeds
	for target in config values decide; do \
	  (cd filter/core && RUSTC_BOOTSTRAP=1 $(CARGO_FUZZ) run --sanitizer none --target-dir $(TARGET)/fuzz $$target -- \
	    -max_total_time=$(FUZZ_SECONDS) -max_len=65536 -print_final_stats=1 \
	    -rss_limit_mb=$(FUZZ_MEGABYTES) -malloc_limit_mb=48); done

SECONDS ?= 600

.PHONY: fuzz-adapters
fuzz-adapters: wasm native envoy ## random requests through the core and through both modules in a real Envoy, for SECONDS
	cargo build -q --locked -p sluice -p sluice-e2e --bin sluice --bin fuzz-adapters
	$(TARGET)/debug/fuzz-adapters $(SECONDS)
