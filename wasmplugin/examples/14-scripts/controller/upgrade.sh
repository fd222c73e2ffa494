#!/bin/sh
# Upgrades the controller by its chart. Afterwards a controller must hold the lease and all versions
# must fit together, or the former release is taken back. Users notice nothing of either: proxies
# decide without it. Weights that changed meanwhile, such as by a run, are shown.
set -eu

usage='upgrade.sh CHART [HELM ARGUMENT...]: upgrades the release sluice in the namespace sluice;
RELEASE and NAMESPACE in the environment name others'
fail() { echo "upgrade.sh: $1" >&2; exit "${2:-1}"; }

case ${1:-} in
  --help | -h) echo "$usage" && exit ;;
  '' | -*) fail "$usage" 2 ;;
esac
chart=$1 release=${RELEASE:-sluice} namespace=${NAMESPACE:-sluice}
shift
for program in sluice kubectl helm; do
  command -v "$program" >/dev/null || fail "there is no $program in PATH"
done
helm show chart "$chart" >/dev/null || fail "$chart is no chart"
helm status "$release" -n "$namespace" >/dev/null \
  || fail "there is no release $release in namespace $namespace"
running() { helm status "$release" -n "$namespace" | awk '$1 == "REVISION:" { print $2 }'; }
revision=$(running)
[ -n "$revision" ] || fail 'helm does not say which revision runs'

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
# What a command said matters where it failed.
said() { cat "$scratch/said" >&2; "$@"; }
sluice get -A >"$scratch/before" 2>"$scratch/said" || said fail 'sluice could not read every plugin'

back() {
  trap '' HUP INT TERM
  helm rollback "$release" "$revision" -n "$namespace" --wait --timeout 5m >/dev/null \
    || fail "$1; NOT taken back: helm rollback $release $revision -n $namespace --wait"
  fail "$1; revision $revision is taken back"
}
trap 'back stopped' HUP INT TERM
helm upgrade "$release" "$chart" -n "$namespace" --reset-then-reuse-values --wait --timeout 5m \
  "$@" >"$scratch/said" 2>&1 || said back 'the upgrade failed'
# With an argument such as --dry-run, helm is content and does nothing.
[ "$(running)" != "$revision" ] || fail "nothing is upgraded: revision $revision runs as before"
# The former controller gives its lease back, and the new one takes it.
latest=$(($(date +%s) + 60))
until sluice version -A >"$scratch/said" 2>&1 && grep '^controller' "$scratch/said"; do
  [ "$(date +%s)" -lt "$latest" ] \
    || said back 'no controller holds the lease, or versions do not fit together'
  sleep 1
done
trap - HUP INT TERM
sluice get -A >"$scratch/after" 2>"$scratch/said" || said fail 'sluice could not read every plugin'
diff "$scratch/before" "$scratch/after" \
  || echo 'these weights changed meanwhile; sluice history says by whom'
echo "release $namespace/$release is upgraded; the way back:" \
  "helm rollback $release $revision -n $namespace --wait"
