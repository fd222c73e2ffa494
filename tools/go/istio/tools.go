//go:build tools

// Package tools names the commands of Istio that the Makefile builds for `make e2e-istio`.
package tools

import (
	_ "istio.io/istio/pilot/cmd/pilot-agent"
	_ "istio.io/istio/pilot/cmd/pilot-discovery"
)
