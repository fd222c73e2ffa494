//go:build tools

// Package tools names the module whose definitions of ServiceMonitor, PodMonitor and PrometheusRule
// the Makefile takes for `make e2e-istio`. Nothing of it is built.
package tools
