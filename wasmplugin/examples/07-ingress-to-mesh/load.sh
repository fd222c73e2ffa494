#!/bin/sh
# Steady traffic: 200 users visit each component again and again, until it is stopped or its time
# is over.
set -eu

usage='load.sh URL [SECONDS]: 200 users visit each component again and again, for 1 to 86400
seconds [3600]'
[ $# -eq 1 ] || [ $# -eq 2 ] || { echo "$usage" >&2; exit 2; }
case ${2:-3600} in
  *[!0-9]* | '' | 0 | ??????*)
    echo "load.sh: SECONDS is '$2'; 1 to 86400 is accepted" >&2
    exit 2
    ;;
esac

end=$(($(date +%s) + ${2:-3600}))
while [ "$(date +%s)" -lt "$end" ]; do
  for path in /web /cart /search; do
    # Failed requests are what the Rollouts are to see; they do not end the load.
    "$(dirname "$0")/../visit.sh" --users 200 --requests 1 --at-once 10 --path "$path" "$1" \
      >/dev/null || true &
  done
  wait
done
