#!/bin/sh
# Brings what was rendered to a namespace, and waits until everybody there has it or nobody does. Argument: the namespace.
set -eu
: "${TAG:?is the version that was rendered, and is not set}"
namespace=$1 rendered=rendered/$1
apply() { for file; do kubectl apply -n "$namespace" -f "$rendered/$file.yaml"; done; }

# Another image in the Deployment is what begins a run. The plugin has no weights: those are the Rollout's.
apply service deployment plugin rollout
# The first time, the Rollout makes a copy of the Deployment, which serves everybody; routes lead there once it has pods.
kubectl wait -n "$namespace" --for=create deployment/web-stable --timeout=2m
kubectl rollout status -n "$namespace" deployment/web-stable --timeout=5m
apply routes

# Until the controller has seen the new image, the last run is the one before; those before it do not count.
latest=$(($(date +%s) + 120))
while :; do
  run=$(kubectl get rollouts.sluice.dev web -n "$namespace" -o jsonpath='{.status.run.version}')
  case $run in *":$TAG ("*) break ;; esac
  [ "$(date +%s)" -lt "$latest" ] || { echo "no run of $TAG has begun within two minutes" >&2; exit 1; }
  sleep 1
done
sluice rollout status web -n "$namespace" --wait --timeout "${TIMEOUT:-2h}"
