#!/usr/bin/env bash
# kubectl for the examples' commands. There is no container that `exec` could enter: the command runs on
# the host, with the sidecar that stands for the pod as its proxy; everything else is kubectl's own.
set -euo pipefail
if [ "${1:-}" != exec ]; then exec "$KUBECTL" "$@"; fi
shift
where=() pod=
while [ $# -gt 0 ]; do
  case $1 in
    --) shift && break ;;
    -n) where=(-n "$2") && shift ;;
    -i) ;;
    -*) echo "kubectl exec $1 is not known here" >&2 && exit 2 ;;
    *) pod=$1 ;;
  esac
  shift
done
"$KUBECTL" get "${where[@]}" "$pod" >/dev/null
case $pod in
  deploy/client) http_proxy=http://$SIDECAR exec "$@" ;;
  *) echo "nothing stands for $pod here" >&2 && exit 2 ;;
esac
