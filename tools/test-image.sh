#!/usr/bin/env bash
# What an image that `make image` wrote must be: small, for nobody in particular, and able to run
# where nothing else is. Arguments: the folder, and how many bytes its layer may have unpacked.
set -euo pipefail
folder=$1 max=$2
key=control/src/operations/oci/key/tests/cosign.pub

# What a path of a JSON document is.
value() { python3 -c 'import json,sys; v=json.load(open(sys.argv[1]))
for k in sys.argv[2:]: v=v[int(k) if k.isdigit() else k]
print(v if isinstance(v,str) else json.dumps(v))' "$@"; }
blob() { echo "$folder/blobs/sha256/${1#sha256:}"; }
is() { [ "$2" = "$3" ] || { echo "the image's $1 is $2; accepted: $3"; exit 1; }; }

manifest=$(blob "$(value "$folder/index.json" manifests 0 digest)")
# An index has the image of each platform; the first is that of this machine.
if grep -q '"manifests"' "$manifest"; then manifest=$(blob "$(value "$manifest" manifests 0 digest)"); fi
config=$(blob "$(value "$manifest" config digest)")
is user "$(value "$config" config User)" 65532:65532
is entrypoint "$(value "$config" config Entrypoint)" '["/sluice"]'
is title "$(value "$config" config Labels org.opencontainers.image.title)" sluice

root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT
tar -xzf "$(blob "$(value "$manifest" layers 0 digest)")" -C "$root"
is files "$(cd "$root" && find . -type f | sort | tr '\n' ' ')" './etc/ssl/certs/ca-certificates.crt ./sluice '
bytes=$(du -sb --apparent-size "$root" | cut -f1)
[ "$bytes" -lt "$max" ] || { echo "the image has $bytes bytes unpacked; accepted: less than $max"; exit 1; }

# In a root directory that holds nothing but the layer, without rights.
run() { unshare --user --map-user=65532 --map-group=65532 --root="$root" /sluice "$@"; }
is version "$(run --version)" "sluice $(value "$config" config Labels org.opencontainers.image.version)"
run crds | grep -q '^kind: CustomResourceDefinition$'
# Its client of registries begins only where there are authorities to trust.
cp $key "$root/key.pub"
said=$(run verify oci://127.0.0.1:1/sluice:1 --key /key.pub 2>&1) && exit 1
grep -q '127.0.0.1:1/v2/: cannot be reached' <<<"$said" || { echo "$said"; exit 1; }
for program in /bin/sh /usr/bin/env; do
  [ ! -e "$root$program" ] || { echo "the image has $program"; exit 1; }
done
echo "the image is as it should be: $bytes bytes unpacked"
