#!/usr/bin/env bash
# kubectl for the examples' commands. There is no container that `exec` could enter: the command runs on
# the host, with the sidecar of the pod as its proxy, if it has one; everything else is kubectl's own.
set -euo pipefail
if [ "${1:-}" != exec ]; then exec "$KUBECTL" "$@"; fi
shift
where=() pod= namespace=default
while [ $# -gt 0 ]; do
  case $1 in
    --) shift && break ;;
    -n) where=(-n "$2") && namespace=$2 && shift ;;
    -i) ;;
    -*) echo "kubectl exec $1 is not known here" >&2 && exit 2 ;;
    *) pod=$1 ;;
  esac
  shift
done
"$KUBECTL" get "${where[@]}" "$pod" >/dev/null
for file in "$SIDECARS/$namespace/${pod#deploy/}"-*; do
  if [ -f "$file" ]; then http_proxy=http://$(cat "$file") exec "$@"; fi
done
case $pod in
  deploy/client) http_proxy=http://$SIDECAR exec "$@" ;;
  *) exec "$@" ;;
esac
