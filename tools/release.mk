# Everything that a release holds, in one folder, the same bytes twice where nothing else was built:
# `make release RELEASES=https://…`, where that is the address below which the files will be.

RELEASE_ARCHITECTURES ?= x86_64 aarch64
RELEASE = $(TARGET)/dist/sluice-$(IMAGE_VERSION)
NATIVE_x86_64 = $(TARGET)/native/$(if $(filter x86_64,$(shell uname -m)),,x86_64/)libsluice.so
NATIVE_aarch64 = $(NATIVE_LIBRARY_aarch64)
RELEASE_TREES = $(IMAGE)/program.tree $(IMAGE)/module.tree $(TARGET)/dist/native.tree
PACK_RELEASE = TREES="$(RELEASE_TREES)" TARGET=$(TARGET) VERSION=$(IMAGE_VERSION) HELM=$(GO_BIN)/helm MODULE=$(WASM) KREW=$(KREW) IMAGES=$(IMAGE) \
  BINARIES="$(foreach a,$(RELEASE_ARCHITECTURES),$(GO_NAME_$(a))=$(TARGET)/$(a)-unknown-linux-musl/static/sluice)" \
  LIBRARIES="$(foreach a,$(RELEASE_ARCHITECTURES),$(GO_NAME_$(a))=$(NATIVE_$(a)))" PACKED="$(PACKED)" tools/release.sh

.PHONY: release
release: release-address wasm native docs $(GO_BIN)/helm ## everything that a release holds, with checksums, into target/dist (RELEASES=https://… as for krew)
	$(if $(filter aarch64,$(RELEASE_ARCHITECTURES)),$(MAKE) -s native-aarch64)
	$(MAKE) -s image krew ARCHITECTURES="$(RELEASE_ARCHITECTURES)"
	@mkdir -p $(TARGET)/dist
	$(TREE) -p sluice-native >$(TARGET)/dist/native.tree
	$(PACK_RELEASE) $(RELEASE)
	$(MAKE) -s check-release RELEASE_ARCHITECTURES="$(RELEASE_ARCHITECTURES)"
	@echo "$(RELEASE): $$(ls $(RELEASE) | wc -l) files, $$(du -sh $(RELEASE) | cut -f1)"

# Said before anything is built.
.PHONY: release-address
release-address:
	@case "$(RELEASES)" in https://*) ;; *) echo "RELEASES='$(RELEASES)': where the files will be; accepted: https://…" >&2; exit 2;; esac

.PHONY: check-release
check-release: ## whether the folder of `make release` is whole, and packed the same twice
	$(PACK_RELEASE) $(RELEASE).again
	diff -r $(RELEASE) $(RELEASE).again && rm -r $(RELEASE).again
	tools/check-release.sh $(RELEASE) $(IMAGE_VERSION) $(foreach a,$(RELEASE_ARCHITECTURES),$(GO_NAME_$(a)))
