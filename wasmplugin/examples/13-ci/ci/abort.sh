#!/bin/sh
# Takes everybody back from the new version, now. Argument: the namespace.
set -eu
sluice abort web -n "$1" --reason "the pipeline's job abort"
