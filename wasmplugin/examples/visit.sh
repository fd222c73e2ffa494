#!/bin/sh
# Sends users to a service and says which versions they saw. Needs curl 7.84 or newer.
# Each user has a cookie `uid=user-N`, and the version is what the answer's header x-version says.
set -eu

usage() {
  cat <<'END'
visit.sh [OPTION...] URL: users visit a service; a table says which versions they saw

  --users N          how many users: 1 to 5000 [500]
  --from N           the number of the first one [0]
  --requests N       how many requests each of them sends: 1 to 20 [2]
  --host HOST        the Host header [shop.example.com]; in the mesh the service's, such as web:8080
  --path PATH        behind the URL [/]
  --cookie NAME=V    one more cookie for every user; repeatable
  --header 'N: V'    one more header for every user; repeatable
  --at-once N        how many requests are under way at once: 1 to 100 [20]

Ends with 1 if a request failed or a user saw more than one version.
END
}

fail() {
  echo "visit.sh: $1; --help says more" >&2
  exit 2
}

number() { # NAME VALUE LEAST MOST
  case $2 in '' | *[!0-9]* | 0?*) fail "$1 is '$2'; a number from $3 to $4 is accepted" ;; esac
  if [ "${#2}" -gt 8 ] || [ "$2" -lt "$3" ] || [ "$2" -gt "$4" ]; then
    fail "$1 is $2; $3 to $4 is accepted"
  fi
}

quoted() { # a text as curl's configuration takes it
  case $1 in *'
'*) fail "a header or cookie has more than one line" ;; esac
  printf '%s' "$1" | sed 's/[\\"]/\\&/g'
}

# Without `%header{…}` of --write-out, which an older one prints as it stands, nobody would have a version.
curl --version >/dev/null 2>&1 || fail "there is no curl"
has=$(curl --version | sed -n '1s/^curl \([0-9]*\)\.\([0-9]*\).*/\1 \2/p')
[ "${has% *}" -gt 7 ] || { [ "${has% *}" -eq 7 ] && [ "${has#* }" -ge 84 ]; } ||
  fail "curl is of version $(echo "$has" | tr ' ' .); 7.84 or newer is accepted"

users=500 from=0 requests=2 host=shop.example.com path=/ cookies='' headers='' at_once=20 url=''
while [ $# -gt 0 ]; do
  case $1 in
    --help | -h) usage && exit ;;
    --*) [ $# -gt 1 ] || fail "$1 needs a value" ;;
  esac
  case $1 in
    --users) number "$1" "$2" 1 5000 && users=$2 ;;
    --from) number "$1" "$2" 0 99999999 && from=$2 ;;
    --requests) number "$1" "$2" 1 20 && requests=$2 ;;
    --at-once) number "$1" "$2" 1 100 && at_once=$2 ;;
    --host) host=$(quoted "$2") ;;
    --path) path=$(quoted "$2") ;;
    --cookie) cookies="$cookies; $(quoted "$2")" ;;
    --header) headers="$headers
header = \"$(quoted "$2")\"" ;;
    -*) fail "there is no option $1" ;;
    *)
      [ -z "$url" ] || fail "one URL is accepted, and '$1' is another"
      url=$(quoted "$1")
      shift
      continue
      ;;
  esac
  shift 2
done
[ -n "$url" ] || fail "the URL is missing"
[ -z "$host" ] || headers="$headers
header = \"host: $host\""

# A block for each request; curl says of each its status, its user and its version.
plan() {
  user=$from
  while [ "$user" -lt $((from + users)) ]; do
    request=0
    while [ "$request" -lt "$requests" ]; do
      [ "$user$request" = "${from}0" ] || echo next
      cat <<END
url = "${url%/}$path"
cookie = "uid=user-$user$cookies"$headers
output = "/dev/null"
max-time = 20
silent
globoff
write-out = "%{http_code} $user %header{x-version}\n"
END
      request=$((request + 1))
    done
    user=$((user + 1))
  done
}

plan | { curl --no-progress-meter --parallel --parallel-max "$at_once" --config - || true; } | awk -v users="$users" -v requests="$requests" '
  { seen++ }
  $1 < 200 || $1 > 299 { failed++ }
  $3 == "" { next }
  ($2 in version) && version[$2] != $3 { moved[$2] = 1 }
  { version[$2] = $3 }
  END {
    print "VERSION    USERS   SHARE"
    for (user in version) { count[version[user]]++; known++ }
    sort = "sort"
    for (name in count) printf "%-9s %6d  %4.1f %%\n", name, count[name], 100 * count[name] / users | sort
    close(sort)
    for (user in moved) both++
    failed += users * requests - seen
    printf "%d users, %d requests: %d failed, %d users saw more than one version\n",
      users, users * requests, failed, both
    if (failed == 0 && known < users) {
      print users - known " users: no answer had the header x-version, by which versions are told apart"
      exit 1
    }
    exit failed > 0 || both > 0
  }'
