#!/bin/sh
# The service's own tests, and whether what is in Git makes a split: both without a cluster.
set -eu
(cd app && python3 -m unittest)
for namespace in "$STAGING" "$PRODUCTION"; do
  ci/render.sh "$namespace" >/dev/null
done
