#!/usr/bin/env bash
# kubectl for the examples' commands. There is no container that `exec` could enter: the command runs on
# the host, with the pod's sidecar as its proxy, if it has one; everything else is kubectl's own.
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
through() { # runs the rest with a proxy
  export http_proxy=http://$1
  shift
  exec "$@"
}
for file in "$SIDECARS/$namespace/${pod#deploy/}"-*; do
  if [ -f "$file" ]; then through "$(cat "$file")" "$@"; fi
done
case $pod in
  deploy/client) through "$SIDECAR" "$@" ;;
  *) exec "$@" ;;
esac
