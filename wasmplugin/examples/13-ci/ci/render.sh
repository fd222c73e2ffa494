#!/bin/sh
# Writes what a namespace gets into rendered/NAMESPACE, and checks that it fits together. Argument: the namespace.
set -eu
namespace=$1 out=rendered/$1
environment=production
[ "$namespace" != "$STAGING" ] || environment=staging
mkdir -p "$out"
cp deploy/service.yaml "$out/"
kubectl set image --local -f deploy/deployment.yaml "web=$IMAGE_NAME:$TAG" -o yaml >"$out/deployment.yaml"
sed "s/HOLD/${HOLD:-5m}/" "deploy/rollout-$environment.yaml" >"$out/rollout.yaml"
sed "s/NAMESPACE/$namespace/" deploy/config.yaml >"$out/config.yaml"
sluice render web -f "$out/config.yaml" --service "web.$namespace" --subset-label sluice.dev/variant \
  --image "$SLUICE_IMAGE" --digest "$SLUICE_DIGEST" >"$out/split.yaml"
sluice validate -f "$out/split.yaml"
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
