//go:build tools

// Package tools names the etcd server that the Makefile builds for `make e2e-istio`.
package tools

import _ "go.etcd.io/etcd/server/v3"
