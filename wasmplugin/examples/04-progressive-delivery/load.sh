#!/bin/sh
# Steady traffic: 300 users visit again and again, until it is stopped or its time is over.
set -eu

usage='load.sh URL [SECONDS]: 300 users visit again and again, for 1 to 86400 seconds [3600]'
[ $# -eq 1 ] || [ $# -eq 2 ] || { echo "$usage" >&2; exit 2; }
case ${2:-3600} in
  *[!0-9]* | '' | 0 | ??????*)
    echo "load.sh: SECONDS is '$2'; 1 to 86400 is accepted" >&2
    exit 2
    ;;
esac

end=$(($(date +%s) + ${2:-3600}))
while [ "$(date +%s)" -lt "$end" ]; do
  # Failed requests are what the Rollout is to see; they do not end the load.
  "$(dirname "$0")/../visit.sh" --users 300 --requests 1 "$1" >/dev/null || true
  sleep 0.5
done
