# Every command of the project. Bare `make` prints them.
.DEFAULT_GOAL := help
SHELL := bash
.SHELLFLAGS := -euo pipefail -c

TARGET := $(abspath $(or $(CARGO_TARGET_DIR),target))
WASM := $(TARGET)/wasm/sluice.wasm
# The callbacks that the filter implements; every other export of the SDK is removed.
EXPORTS := memory _initialize proxy_abi_version_0_2_1 proxy_on_memory_allocate \
  proxy_on_vm_start proxy_on_configure proxy_on_tick proxy_on_context_create proxy_on_delete \
  proxy_on_request_headers proxy_on_response_headers

.PHONY: help
help: ## print this
	@grep -hE '^[a-z0-9-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

.PHONY: wasm
wasm: ## build the filter's module and print its size
	cargo rustc -q --locked -p sluice-filter --lib --crate-type cdylib --target wasm32-wasip1 --profile wasm
	@mkdir -p $(dir $(WASM))
	cargo run -q --locked --release -p strip-exports -- $(TARGET)/wasm32-wasip1/wasm/sluice_filter.wasm $(WASM) $(EXPORTS)
	@printf '%s: %s bytes, %s gzipped\n' $(WASM) "$$(stat -c %s $(WASM))" "$$(gzip -9 -c $(WASM) | wc -c)"

include tools/envoy.mk
