#!/usr/bin/env bash
# `make e2e-istio`: runs the built Istio tests in so many parts at once, each in namespaces and with a
# chain of its own; ends with 1 if any part failed.
# istio-parts.sh PARTS TESTS [ARGUMENT...]
set -euo pipefail
parts=$1 tests=$2
shift 2
running=()
for part in $(seq "$parts"); do
  # Whole lines, though both parts write them.
  (
    set -o pipefail
    SLUICE_ISTIO_PART=$part/$parts "$tests" "$@" 2>&1 | sed -u ''
  ) &
  running+=($!)
done
failed=0
for part in "${running[@]}"; do
  wait "$part" || failed=1
done
exit $failed
