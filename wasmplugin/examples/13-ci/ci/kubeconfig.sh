#!/bin/sh
# Prints a kubeconfig of a namespace's account `deployer`, and of nobody else: the cluster is the one of your own current
# context, whose credentials stay with you. Arguments: the namespace; how long its token is good [1h].
set -eu
umask 077
namespace=$1
token=$(kubectl create token deployer -n "$namespace" --duration "${2:-1h}")
file=$(mktemp)
trap 'rm -f "$file"' EXIT
kubectl config view --raw --minify --flatten >"$file"
export KUBECONFIG="$file"
{
  kubectl config unset users
  kubectl config set-credentials deployer --token="$token"
  kubectl config set-context --current --user=deployer --namespace="$namespace"
} >/dev/null
cat "$file"
