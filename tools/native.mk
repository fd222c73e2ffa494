# The native module: one shared library for each processor, which Envoy loads into its own process.
# Linked against glibc 2.17, so that it runs wherever Envoy itself does.

NATIVE_LIBRARY := $(TARGET)/native/libsluice.so
NATIVE_LIBRARY_aarch64 := $(TARGET)/native/aarch64/libsluice.so
NATIVE_GLIBC := 2.17
ZIG_CACHE ?= $(TOOLS)/zig-cache
NATIVE_CALLBACKS := tools/native/envoy-1.39-callbacks.txt
export SLUICE_NATIVE ?= $(NATIVE_LIBRARY)

# The linker is found by its name in PATH: a path would be part of what Cargo calls things by, and
# the bytes would differ from folder to folder.
# $(call native,ARCHITECTURE,PACKAGE,OUT): builds a library, checks that every Envoy could load it.
define native
ZIG=$(ZIG) ZIG_GLOBAL_CACHE_DIR=$(ZIG_CACHE) ZIG_LOCAL_CACHE_DIR=$(ZIG_CACHE) \
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

# With a compiler's cache of its own, as on a machine that never built it.
NATIVE_AGAIN := $(TARGET)/native-again

.PHONY: test-native
test-native: native ## the native module is the same bytes wherever and whenever it is built
	@rm -rf $(NATIVE_AGAIN) && mkdir -p $(NATIVE_AGAIN)/sources/target
	@git ls-files -z | tar -c --null -T - | tar -x -C $(NATIVE_AGAIN)/sources
	@ln -s $(TOOLS) $(NATIVE_AGAIN)/sources/target/tools
	$(MAKE) -s -C $(NATIVE_AGAIN)/sources native CARGO_TARGET_DIR=$(NATIVE_AGAIN)/sources/target \
	  ZIG_CACHE=$(NATIVE_AGAIN)/zig-cache
	cmp $(NATIVE_LIBRARY) $(NATIVE_AGAIN)/sources/target/native/libsluice.so
	@rm -rf $(NATIVE_AGAIN)

.PHONY: native-aarch64
native-aarch64: toolchain $(ZIG) ## build the native module for aarch64, check it as `make native` does
	@rustup -q target add aarch64-unknown-linux-gnu
	$(call native,aarch64,sluice-native,$(NATIVE_LIBRARY_aarch64))

# Debian's emulator and the C library that it runs programs with; nothing is installed.
QEMU := $(TOOLS)/debian/usr/bin/qemu-aarch64-static
AARCH64_ROOT := $(TOOLS)/debian/usr/aarch64-linux-gnu

$(QEMU):
	$(call debian,qemu-user-static)

$(AARCH64_ROOT)/lib/libc.so.6:
	$(call debian,libc6-arm64-cross)

# $(call loader,ARCHITECTURE): what loads a library without Envoy. Each callback of the list answers
# 0 unless loader.c has it.
define loader
@mkdir -p $(TARGET)/native
@sed -n 's/^\([a-z].*\)/__attribute__((weak)) unsigned long envoy_dynamic_module_callback_\1(void) { return 0; }/p' \
  $(NATIVE_CALLBACKS) >$(TARGET)/native/callbacks.c
@ZIG_GLOBAL_CACHE_DIR=$(ZIG_CACHE) ZIG_LOCAL_CACHE_DIR=$(ZIG_CACHE) $(ZIG) cc -target $(1)-linux-gnu.$(NATIVE_GLIBC) -O1 \
  -rdynamic -o $(TARGET)/native/loader-$(1) tools/native/loader.c $(TARGET)/native/callbacks.c -ldl
endef

# Not part of `make test`: the emulator is a download of 60 MB.
.PHONY: test-native-aarch64
test-native-aarch64: native native-aarch64 $(QEMU) $(AARCH64_ROOT)/lib/libc.so.6 ## load the native module for aarch64 under qemu: the same decisions as here
	$(call loader,$(shell uname -m))
	$(call loader,aarch64)
	$(TARGET)/native/loader-$(shell uname -m) $(NATIVE_LIBRARY) tools/native/loader.json >$(TARGET)/native/loaded-here
	$(QEMU) -L $(AARCH64_ROOT) $(TARGET)/native/loader-aarch64 $(NATIVE_LIBRARY_aarch64) tools/native/loader.json \
	  >$(TARGET)/native/loaded-aarch64
	cmp $(TARGET)/native/loaded-here $(TARGET)/native/loaded-aarch64
	@for variant in stable canary; do \
	  grep -q "x-sluice-web: $$variant" $(TARGET)/native/loaded-here || { echo "nobody got $$variant"; exit 1; }; \
	done

# A module that does nothing: what the benchmark compares with.
EMPTY_LIBRARY := $(TARGET)/native/libempty.so

.PHONY: empty-native
empty-native: toolchain $(ZIG)
	$(call native,$(shell uname -m),empty-module,$(EMPTY_LIBRARY))
