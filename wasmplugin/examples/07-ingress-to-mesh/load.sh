#!/bin/sh
# Steady traffic: 200 users visit each component again and again, until it is stopped or its time
# is over.
set -eu

usage='load.sh URL [SECONDS]: 200 users visit each component again and again, for 1 to 86400
seconds [3600]'
case ${1:-} in
  --help | -h) echo "$usage" && exit ;;
  '' | -*) echo "$usage" >&2 && exit 2 ;;
esac
[ $# -le 2 ] || { echo "$usage" >&2; exit 2; }
seconds=${2:-3600}
case $seconds in *[!0-9]* | 0* | ??????*) seconds=0 ;; esac
if [ "$seconds" -lt 1 ] || [ "$seconds" -gt 86400 ]; then
  echo "load.sh: SECONDS is '$2'; 1 to 86400 is accepted" >&2
  exit 2
fi

end=$(($(date +%s) + seconds))
while [ "$(date +%s)" -lt "$end" ]; do
  jobs=''
  for path in /web /cart /search; do
    "$(dirname "$0")/../visit.sh" --users 200 --requests 1 --at-once 4 --path "$path" "$1" >/dev/null &
    jobs="$jobs $!"
  done
  # Failed requests are what the Rollouts are to see; they do not end the load.
  for job in $jobs; do
    wait "$job" || [ $? -eq 1 ] || exit 2
  done
  sleep 0.1
done
