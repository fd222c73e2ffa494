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
STATIC = $(TARGET)/$(1)-unknown-linux-musl/image/sluice

# For $(STATIC): the same bytes whatever the checkout is called, as the module is.
.PHONY: static
static: toolchain $(ZIG) ## build the static binary of the image (ARCHITECTURES='x86_64 aarch64' for both)
	@rustup -q target add $(ARCHITECTURES:%=%-unknown-linux-musl)
	for architecture in $(ARCHITECTURES); do \
	  target=$$architecture-unknown-linux-musl; \
	  export CC_$${target//-/_}=$(CURDIR)/tools/musl-cc.sh AR_$${target//-/_}=$(CURDIR)/tools/musl-ar.sh; \
	  ZIG=$(ZIG) ZIG_GLOBAL_CACHE_DIR=$(TOOLS)/zig-cache ZIG_LOCAL_CACHE_DIR=$(TOOLS)/zig-cache \
	  RUSTFLAGS="$(REMAPPED) -C linker=rust-lld" \
	    cargo build -q --locked -p sluice --bin sluice --target $$target --profile image; \
	done
