#!/bin/sh
# Builds the image of this commit as a folder, build/image, in the layout that OCI defines: later jobs scan and push what was
# built here, and nothing that was built again.
set -eu
mkdir -p build
if [ -n "${BUILD:-}" ]; then
  sh -c "$BUILD"
else
  # Docker's default builder cannot write such a layout; one in a container can.
  docker buildx inspect ci >/dev/null 2>&1 || docker buildx create --name ci --driver docker-container >/dev/null
  docker buildx build --builder ci --provenance=false --build-arg "VERSION=$TAG" \
    --output type=oci,tar=false,dest=build/image app
fi
test -f build/image/index.json || { echo "build/image/index.json is missing: BUILD wrote no image" >&2; exit 1; }
