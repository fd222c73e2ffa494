# The native module: one shared library for each processor, which Envoy loads into its own process.
# Linked against glibc 2.17, so that it runs wherever Envoy itself does.

NATIVE_LIBRARY := $(TARGET)/native/libsluice.so
NATIVE_LIBRARY_aarch64 := $(TARGET)/native/aarch64/libsluice.so
NATIVE_GLIBC := 2.17
NATIVE_CALLBACKS := tools/native/envoy-1.39-callbacks.txt
export SLUICE_NATIVE ?= $(NATIVE_LIBRARY)

# The linker is found by its name in PATH: a path would be part of what Cargo calls things by, and
# the bytes would differ from folder to folder.
# $(call native,ARCHITECTURE,PACKAGE,OUT): builds a library, checks that every Envoy could load it.
define native
ZIG=$(ZIG) ZIG_GLOBAL_CACHE_DIR=$(TOOLS)/zig-cache ZIG_LOCAL_CACHE_DIR=$(TOOLS)/zig-cache \
  NATIVE_TARGET=$(1)-linux-gnu.$(NATIVE_GLIBC) PATH="$(CURDIR)/tools:$$PATH" \
  RUSTFLAGS="$(REMAPPED) -C linker=native-cc.sh" \
  cargo rustc -q --locked -p $(2) --lib --crate-type cdylib --target $(1)-unknown-linux-gnu --profile native
@mkdir -p $(dir $(3))
@cp $(TARGET)/$(1)-unknown-linux-gnu/native/lib$(subst -,_,$(2)).so $(3).new && mv $(3).new $(3)
@cargo run -q --locked -p check-native -- $(3) $(NATIVE_CALLBACKS)
endef

.PHONY: native
native: toolchain $(ZIG) ## build the native module for this machine, check that every Envoy could load it
	$(call native,$(shell uname -m),sluice-native,$(NATIVE_LIBRARY))

# A module that does nothing: what the benchmark compares with.
EMPTY_LIBRARY := $(TARGET)/native/libempty.so

.PHONY: empty-native
empty-native: toolchain $(ZIG)
	$(call native,$(shell uname -m),empty-module,$(EMPTY_LIBRARY))
