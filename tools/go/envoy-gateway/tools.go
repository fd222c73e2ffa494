//go:build tools

// Package tools names what the Makefile builds of Envoy Gateway for `make e2e-istio`.
package tools

import _ "github.com/envoyproxy/gateway/cmd/envoy-gateway"
