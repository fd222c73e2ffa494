#!/bin/sh
# Publishes what was built and scanned.
set -eu
sh -c "${PUSH:-skopeo copy oci:build/image docker://$IMAGE_NAME:$TAG}"
