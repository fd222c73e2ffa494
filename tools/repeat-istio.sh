#!/usr/bin/env bash
# `make e2e-istio-repeat`: runs the built Istio tests again and again, one line a run; ends with 1 if any run failed.
# repeat-istio.sh RUNS BUSY TESTS [ARGUMENT...]: BUSY=1 keeps one core busy beside each run.
set -euo pipefail
runs=$1 busy=$2 tests=$3
shift 3
logs=$(mktemp -d)
failed=0
loop=
trap '[ -z "$loop" ] || kill "$loop"' EXIT
for run in $(seq "$runs"); do
  if [ "$busy" = 1 ]; then
    taskset -c 0 bash -c 'while :; do :; done' &
    loop=$!
  fi
  began=$SECONDS verdict=passed
  "$tests" "$@" >"$logs/$run.log" 2>&1 || verdict=FAILED failed=1
  if [ -n "$loop" ]; then
    kill "$loop"
    wait "$loop" 2>/dev/null || true
    loop=
  fi
  echo "run $run of $runs (busy=$busy): $verdict, $((SECONDS - began)) s: $(grep '^test result' "$logs/$run.log" || echo "no result")"
  [ "$verdict" = passed ] || echo "  see $logs/$run.log"
done
exit $failed
