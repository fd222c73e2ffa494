#!/bin/sh
# Writes what a namespace gets into rendered/NAMESPACE, and checks that it fits together. Argument: the namespace.
set -eu
namespace=$1 rendered=rendered/$1
case $namespace in *[!a-z0-9-]* | '') echo "$namespace: is no namespace" >&2; exit 2 ;; esac
case ${HOLD:=5m} in *[!0-9hms]*) echo "HOLD: $HOLD is no duration such as 5m" >&2; exit 2 ;; esac
environment=production
[ "$namespace" != "$STAGING" ] || environment=staging
# The folder is there once all of it is good.
out=$rendered.new
rm -rf "$out"
mkdir -p "$out"
cp deploy/service.yaml "$out/"
kubectl set image --local -f deploy/deployment.yaml "web=$IMAGE_NAME:$TAG" -o yaml >"$out/deployment.yaml"
sed "s/HOLD/$HOLD/" "deploy/rollout-$environment.yaml" >"$out/rollout.yaml"
sed "s/NAMESPACE/$namespace/" deploy/config.yaml >"$out/config.yaml"
sluice render web -f "$out/config.yaml" --service "web.$namespace" --subset-label sluice.dev/variant \
  --image "$SLUICE_IMAGE" --digest "$SLUICE_DIGEST" >"$out/split.yaml"
(cd "$out" && sluice validate -f split.yaml)
# Routes are applied last, so they get a file of their own.
for file in plugin routes; do
  awk -v wanted="$file" '
    function put() {
      if (document != "" && (is_routes ? "routes" : "plugin") == wanted) printf "%s---\n", document
      document = is_routes = ""
    }
    /^---$/ { put(); next }
    { document = document $0 "\n" }
    /^kind: VirtualService$/ { is_routes = 1 }
    END { put() }' "$out/split.yaml" >"$out/$file.yaml"
done
rm "$out/split.yaml"
rm -rf "$rendered"
mv "$out" "$rendered"
