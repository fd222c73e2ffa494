#!/bin/sh
# Builds the image of this commit as a folder, build/image, in the layout that OCI defines: later jobs scan and push what was
# built here, and nothing that was built again.
set -eu
mkdir -p build
sh -c "${BUILD:-docker buildx build --build-arg VERSION=$TAG --output type=oci,tar=false,dest=build/image app}"
test -f build/image/index.json || { echo "build/image/index.json is missing: BUILD wrote no image" >&2; exit 1; }
