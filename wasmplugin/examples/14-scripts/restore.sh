#!/bin/sh
# Gives plugins the weights, draws and history of a backup again: the last one of a folder, or a
# certain one. Says what would change, and changes it with --yes only. May be run again after it was
# stopped.
set -eu

usage='restore.sh FOLDER[/DATE-TIME] [--yes] [REASON]: says what the backup would change; --yes
changes it'
fail() { echo "restore.sh: $1" >&2; exit "${2:-1}"; }

is_meant=no reason='' from=''
for argument in "$@"; do
  case $argument in
    --help | -h) echo "$usage" && exit ;;
    --yes) is_meant=yes ;;
    -*) fail "there is no option $argument; $usage" 2 ;;
    *)
      [ -z "$reason" ] || fail "'$argument' is one word too many; quote the reason" 2
      if [ -z "$from" ]; then from=$argument; else reason=$argument; fi
      ;;
  esac
done
[ -n "$from" ] || fail "$usage" 2
command -v sluice >/dev/null || fail 'there is no sluice in PATH'

if [ ! -f "$from/weights.yaml" ]; then
  day='[0-9][0-9][0-9][0-9][0-9][0-9][0-9][0-9]' time='[0-9][0-9][0-9][0-9][0-9][0-9]'
  last=$(ls -d "$from"/$day-$time/weights.yaml 2>/dev/null | sort | tail -n 1)
  [ -n "$last" ] || fail "$from is no backup and holds none"
  from=${last%/weights.yaml}
fi
echo "from $from:"
sluice restore -f "$from/weights.yaml" --dry-run \
  || fail "nothing was changed. A plugin that is not there comes from Git first; what it was is in
$from/resources.yaml"
[ "$is_meant" = yes ] || { echo 'nothing was changed; --yes changes it'; exit 0; }
sluice restore -f "$from/weights.yaml" --reason "${reason:-restored from a backup}"
# A second comparison: there must be nothing left.
left=$(sluice restore -f "$from/weights.yaml" --dry-run)
echo "$left"
case $left in *' -> '*) fail 'some of the backup is not in force; above it says what' ;; esac
