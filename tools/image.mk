# The images: what is in them, and how they are checked. Nothing here needs a daemon, a container or
# root.

# The C compiler of the static binary, out of a PyPI package.
ZIG := $(TOOLS)/zig-$(ZIG_VERSION)/ziglang/zig

$(ZIG):
	@rm -rf $(TOOLS)/zig-$(ZIG_VERSION) && mkdir -p $(TOOLS)/zig-$(ZIG_VERSION)
	cd $(TOOLS)/zig-$(ZIG_VERSION) && python3 -m pip download -q --no-deps --no-cache-dir --only-binary=:all: -d . \
	  ziglang==$(ZIG_VERSION)
	cd $(TOOLS)/zig-$(ZIG_VERSION) && echo "$(ZIG_WHEEL_SHA256)  $$(ls *.whl)" | sha256sum --check --quiet
	cd $(TOOLS)/zig-$(ZIG_VERSION) && python3 -m zipfile -e *.whl . && rm *.whl
	@chmod +x $@ && touch $@

# The processors that the image is for, as Rust calls them: x86_64, aarch64.
ARCHITECTURES ?= x86_64

# The same bytes whatever the checkout is called, as the module is.
.PHONY: static
static: toolchain $(ZIG) ## build the static binary of the image (ARCHITECTURES='x86_64 aarch64' for both)
	@rustup -q target add $(ARCHITECTURES:%=%-unknown-linux-musl)
	for architecture in $(ARCHITECTURES); do \
	  target=$$architecture-unknown-linux-musl; \
	  export CC_$${target//-/_}=$(CURDIR)/tools/musl-cc.sh AR_$${target//-/_}=$(CURDIR)/tools/musl-ar.sh; \
	  ZIG=$(ZIG) ZIG_GLOBAL_CACHE_DIR=$(TOOLS)/zig-cache ZIG_LOCAL_CACHE_DIR=$(TOOLS)/zig-cache \
	  RUSTFLAGS="$(REMAPPED) -C linker=rust-lld" \
	    cargo build -q --locked -p sluice --bin sluice --target $$target --profile static; \
	done

IMAGE := $(TARGET)/image
GO_NAME_x86_64 := amd64
GO_NAME_aarch64 := arm64
BINARIES = $(foreach a,$(ARCHITECTURES),$(GO_NAME_$(a))=$(TARGET)/$(a)-unknown-linux-musl/static/sluice)
TREE := cargo tree --locked -e normal,no-proc-macro --prefix depth -f '|{p}|{l}'

# What the images say of where they come from; a tree with changes has no commit.
IMAGE_VERSION ?= $(shell sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -1)
IMAGE_SOURCE ?=
IMAGE_REVISION ?= $(shell [ -n "$$(git status --porcelain 2>&1)" ] || git rev-parse HEAD)
PACK = cargo run -q --locked -p pack-image -- --version $(IMAGE_VERSION) --lock Cargo.lock --rustc "$$(rustc --version)" \
  $(if $(IMAGE_SOURCE),--source $(IMAGE_SOURCE)) $(if $(IMAGE_REVISION),--revision $(IMAGE_REVISION))

.PHONY: image
image: static wasm ## build the images of sluice and of the module into target/image, with bills of materials and provenances
	@mkdir -p $(IMAGE)
	for architecture in $(ARCHITECTURES); do \
	  $(TREE) -p sluice --target $$architecture-unknown-linux-musl; \
	done >$(IMAGE)/program.tree
	$(TREE) -p sluice-filter --target wasm32-wasip1 >$(IMAGE)/module.tree
	$(PACK) --out $(IMAGE)/program --tree $(IMAGE)/program.tree --tool ziglang=$(ZIG_VERSION)=$(ZIG_WHEEL_SHA256) \
	  program $(BINARIES)
	$(PACK) --out $(IMAGE)/module --tree $(IMAGE)/module.tree module $(WASM)

# How large an image may be, as it is unpacked on a node.
MAX_IMAGE_BYTES := 25000000

.PHONY: test-image
test-image: image ## the image is packed the same twice, small, for nobody in particular, and runs where nothing else is
	$(MAKE) -s IMAGE=$(IMAGE)-again image
	diff -r $(IMAGE) $(IMAGE)-again && rm -r $(IMAGE)-again
	tools/test-image.sh $(IMAGE)/program $(MAX_IMAGE_BYTES)

# Some ten minutes more.
.PHONY: test-image-again
test-image-again: image ## everything in the images is the same bytes wherever and whenever it is built
	@rm -rf $(AGAIN) && mkdir -p $(AGAIN)/sources/target
	@git ls-files -z | tar -c --null -T - | tar -x -C $(AGAIN)/sources
	@ln -s $(TOOLS) $(AGAIN)/sources/target/tools
	$(MAKE) -s -C $(AGAIN)/sources image CARGO_TARGET_DIR=$(AGAIN)/sources/target IMAGE_REVISION=$(IMAGE_REVISION) \
	  ARCHITECTURES="$(ARCHITECTURES)"
	for image in program module; do diff -r $(IMAGE)/$$image $(AGAIN)/sources/target/image/$$image; done
	@rm -rf $(AGAIN)
