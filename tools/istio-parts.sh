#!/usr/bin/env bash
# `make e2e-istio`: runs the built Istio tests in so many parts at once, each in namespaces and with a
# chain of its own, then those that run alone; ends with 1 if any part failed.
# istio-parts.sh PARTS TESTS [ARGUMENT...]
set -euo pipefail
parts=$1 tests=$2
shift 2
if [ "$parts" = 1 ]; then exec "$tests" "$@"; fi
running=()
for part in $(seq "$parts"); do
  # Whole lines, though all parts write them.
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
SLUICE_ISTIO_PART=alone "$tests" "$@" || failed=1
exit $failed
