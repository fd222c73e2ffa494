//go:build tools

// Package tools names the interpreter of Lua that the Makefile builds for `make e2e-istio`: the one that Argo CD has.
package tools

import _ "github.com/yuin/gopher-lua/cmd/glua"
