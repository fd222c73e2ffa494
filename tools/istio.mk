# What `make e2e-istio` needs besides: Kubernetes' API server and controllers, Istio and Helm, built from
# Go modules; a registry out of a Debian package. About 16 minutes on two cores the first time;
# `make test` needs none of it. Versions: tools/go/*/go.mod.

GO_BIN := $(TOOLS)/go
GO_BUILD := GOTOOLCHAIN=local GOFLAGS=-mod=readonly go build -tags tools -trimpath
GO_MODULE_DIR = $(shell cd tools/go/istio && GOTOOLCHAIN=local GOFLAGS=-mod=readonly go list -tags tools -m -f '{{.Dir}}' $(1))
ISTIO_SOURCES = $(wildcard tools/go/$(1)/go.* tools/go/$(1)/tools.go)

$(GO_BIN)/etcd: $(call ISTIO_SOURCES,etcd)
	cd tools/go/etcd && $(GO_BUILD) -o $@ go.etcd.io/etcd/server/v3

$(GO_BIN)/kube-apiserver: $(call ISTIO_SOURCES,kubernetes)
	cd tools/go/kubernetes && $(GO_BUILD) -o $(GO_BIN)/ $(addprefix k8s.io/kubernetes/cmd/,kube-apiserver \
	  kube-controller-manager kubectl)
	@touch $@

$(GO_BIN)/pilot-discovery: $(call ISTIO_SOURCES,istio)
	cd tools/go/istio && $(GO_BUILD) -o $(GO_BIN)/ istio.io/istio/pilot/cmd/pilot-discovery istio.io/istio/pilot/cmd/pilot-agent
	@touch $@

$(GO_BIN)/helm: $(call ISTIO_SOURCES,helm)
	cd tools/go/helm && $(GO_BUILD) -o $@ helm.sh/helm/v4/cmd/helm

# It runs without a cluster in the test of its example.
$(GO_BIN)/envoy-gateway: $(call ISTIO_SOURCES,envoy-gateway)
	cd tools/go/envoy-gateway && $(GO_BUILD) -o $@ github.com/envoyproxy/gateway/cmd/envoy-gateway

# The interpreter of Lua that Argo CD has, for what the examples tell it.
$(GO_BIN)/glua: $(call ISTIO_SOURCES,lua)
	cd tools/go/lua && $(GO_BUILD) -o $@ github.com/yuin/gopher-lua/cmd/glua

# Prometheus Operator's definitions: files of its module, of which nothing is built.
$(GO_BIN)/monitoring.yaml: $(call ISTIO_SOURCES,prometheus-operator)
	@mkdir -p $(GO_BIN)
	cd tools/go/prometheus-operator && GOTOOLCHAIN=local go mod download && folder=$$(GOTOOLCHAIN=local GOFLAGS=-mod=readonly \
	  go list -m -f '{{.Dir}}' github.com/prometheus-operator/prometheus-operator)/example/prometheus-operator-crd && \
	  for kind in servicemonitors podmonitors prometheusrules; do \
	    cat $$folder/monitoring.coreos.com_$$kind.yaml; done >$@.new && mv $@.new $@

.PHONY: chart
chart: $(GO_BIN)/helm ## render again what wasmplugin/controller and wasmplugin/base take from the Helm chart
	tools/kustomize-base.sh $(GO_BIN)/helm wasmplugin/chart wasmplugin

# Files of the modules: CRDs, and the bootstrap that the agent fills in for Envoy.
$(GO_BIN)/crds.yaml: $(GO_BIN)/pilot-discovery
	cat $(call GO_MODULE_DIR,istio.io/istio)/manifests/charts/base/files/crd-all.gen.yaml >$@.new
	for crd in $(call GO_MODULE_DIR,sigs.k8s.io/gateway-api)/config/crd/standard/*.yaml; do echo '---'; cat $$crd; done >>$@.new
	cp -f $(call GO_MODULE_DIR,istio.io/istio)/tools/packaging/common/envoy_bootstrap.json $(GO_BIN)/
	mv $@.new $@

# What istiod injects into pods, as Istio's chart renders it.
$(GO_BIN)/injection.yaml: $(GO_BIN)/crds.yaml $(GO_BIN)/helm
	$(GO_BIN)/helm template istiod $(call GO_MODULE_DIR,istio.io/istio)/manifests/charts/istio-control/istio-discovery \
	  -n istio-system -s templates/istiod-injector-configmap.yaml >$@.new && mv $@.new $@

$(TOOLS)/debian/usr/bin/docker-registry:
	$(call debian,docker-registry)

.PHONY: istio
istio: $(GO_BIN)/etcd $(GO_BIN)/kube-apiserver $(GO_BIN)/crds.yaml $(GO_BIN)/injection.yaml $(GO_BIN)/envoy-gateway $(GO_BIN)/helm $(GO_BIN)/glua $(GO_BIN)/monitoring.yaml $(TOOLS)/debian/usr/bin/docker-registry $(TOOLS)/debian/usr/bin/prometheus ## build Istio, Kubernetes' API server and controllers, a registry, Prometheus into target/tools
	@command -v ip unshare >/dev/null || { echo "make e2e-istio needs ip (iproute2) and unshare (util-linux)"; exit 1; }
