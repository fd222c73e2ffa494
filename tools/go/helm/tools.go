//go:build tools

// Package tools names the command of Helm that the Makefile builds for `make e2e-istio`.
package tools

import _ "helm.sh/helm/v4/cmd/helm"
