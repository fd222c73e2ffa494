#!/bin/sh
# Keeps what only the cluster has: weights, draws and history of every plugin, Rollouts, and beside
# them the routes and plugins as they are. One folder a backup; the oldest are taken away.
set -eu

usage='backup.sh FOLDER [KEEP]: writes FOLDER/DATE-TIME, and keeps the last 1 to 365 of them [14]'
fail() { echo "backup.sh: $1" >&2; exit "${2:-1}"; }

case ${1:-} in
  --help | -h) echo "$usage" && exit ;;
  '' | -*) fail "$usage" 2 ;;
esac
[ $# -le 2 ] || fail "$usage" 2
folder=$1 keep=${2:-14}
case $keep in
  '' | *[!0-9]* | 0* | ????*) fail "KEEP is '$keep'; 1 to 365 is accepted" 2 ;;
esac
[ "$keep" -le 365 ] || fail "KEEP is $keep; 1 to 365 is accepted" 2
for program in sluice kubectl; do
  command -v "$program" >/dev/null || fail "there is no $program in PATH"
done

umask 077 # histories say who did what, and why
mkdir -p "$folder"
name=$(date -u +%Y%m%d-%H%M%S)
unfinished=$folder/.unfinished-$name
find "$folder" -maxdepth 1 -name '.unfinished-*' -mtime +0 -exec rm -rf {} +
mkdir "$unfinished"
trap 'rm -rf "$unfinished"' EXIT

# What was said on the way matters where it failed.
said() { cat "$unfinished/said" >&2; fail "$1"; }
sluice get -A -o yaml >"$unfinished/weights.yaml" 2>"$unfinished/said" \
  || said 'sluice could not read every plugin'
# Not every cluster has all of these.
kubectl get customresourcedefinition --ignore-not-found -o name \
  virtualservices.networking.istio.io destinationrules.networking.istio.io \
  httproutes.gateway.networking.k8s.io wasmplugins.extensions.istio.io \
  trafficextensions.extensions.istio.io rollouts.sluice.dev brakes.sluice.dev \
  >"$unfinished/kinds" 2>"$unfinished/said" \
  || said 'kubectl could not ask which kinds of resources there are'
kinds=$(sed 's,.*/,,' "$unfinished/kinds" | paste -sd , -)
[ -n "$kinds" ] || fail 'the cluster has neither routes nor plugins of Istio'
kubectl get "$kinds" -A -o yaml >"$unfinished/resources.yaml" 2>"$unfinished/said" \
  || said "kubectl could not read $kinds"
# A backup that cannot be restored is none.
sluice restore -f "$unfinished/weights.yaml" --dry-run >"$unfinished/said" 2>&1 \
  || said 'what was written cannot be restored'
rm "$unfinished/said" "$unfinished/kinds"

[ ! -e "$folder/$name" ] || fail "there is a backup $name already; try again in a second"
mv "$unfinished" "$folder/$name"
trap - EXIT
# Backups alone: what else is in the folder stays, and so does the one that was just made.
all() {
  day='[0-9][0-9][0-9][0-9][0-9][0-9][0-9][0-9]' time='[0-9][0-9][0-9][0-9][0-9][0-9]'
  ls -d "$folder"/$day-$time/weights.yaml | sed 's,/weights.yaml$,,' | sort -r
}
all | grep -Fvx -- "$folder/$name" | tail -n "+$keep" \
  | while IFS= read -r old; do rm -rf "$old"; done
plugins=$(grep -c '^- plugin:' "$folder/$name/weights.yaml" || true)
kept=$(all | wc -l | tr -d ' ')
echo "$folder/$name: weights, draws and history of $plugins plugins; $kept backups kept"
