#!/bin/sh
# Publishes what was built and scanned.
set -eu
if [ -n "${PUSH:-}" ]; then
  sh -c "$PUSH"
else
  [ -z "${REGISTRY_USER:-}" ] ||
    printf '%s' "$REGISTRY_PASSWORD" | skopeo login --username "$REGISTRY_USER" --password-stdin "${IMAGE_NAME%%/*}"
  skopeo copy oci:build/image "docker://$IMAGE_NAME:$TAG"
fi
