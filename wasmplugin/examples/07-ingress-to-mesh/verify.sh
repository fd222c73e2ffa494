#!/bin/sh
# Whether all users of all components are on one side, with no failed request, and whether the
# plugin in the cluster is good.
set -eu

usage='verify.sh ingress|mesh URL: whether all users of web, cart and search are there'
fail() { echo "verify.sh: $1" >&2; exit "${2:-1}"; }

case ${1:-} in --help | -h) echo "$usage" && exit ;; esac
[ $# -eq 2 ] || fail "$usage" 2
case $1 in
  ingress | mesh) side=$1 ;;
  *) fail "'$1' is no side; ingress or mesh is accepted" 2 ;;
esac
url=$2

said=$(sluice validate -n istio-ingress 2>&1) || fail "the plugin is not good, or cannot be read:
$said"
for component in web cart search; do
  seen=$("$(dirname "$0")/../visit.sh" --users 200 --path "/$component" "$url") \
    || fail "$component: users failed:
$seen"
  where=$(echo "$seen" | awk '$4 == "%" { printf "%s%s %s", sep, $2, $1; sep = ", " }')
  [ "$where" = "200 $side" ] || fail "$component: its users are not all on $side: $where"
  echo "$component: 200 of 200 users on $side, no failed request"
done
echo "everybody is on $side"
