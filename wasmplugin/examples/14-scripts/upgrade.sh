#!/bin/sh
# Gives a plugin's proxies another version of the module, and watches the same users meanwhile:
# whoever changes versions, or a request that fails, takes the former module back.
set -eu

usage() {
  cat <<'END'
upgrade.sh OPTION... URL: another module for a WasmPlugin, without moving a user. URL is the
gateway's

  --module FILE        the module to push first; without it, the image is there already
  --image oci://…      the image, as oci://HOST/REPOSITORY:TAG
  --digest sha256:…    its digest; with --module, what is pushed says it
  --namespace NAME     the plugin's namespace [istio-ingress]
  --plugin NAME        the WasmPlugin [the only one in the namespace]
  --prometheus URL     who scrapes the proxies: then it is waited until all of them follow
  --host HOST          what users ask for [shop.example.com]
  --users N            how many are watched: 10 to 2000 [300]
  --seconds N          how long at least: 5 to 600 [10]
END
}
fail() { echo "upgrade.sh: $1" >&2; exit "${2:-1}"; }
wrong() { fail "$1; --help says more" 2; }
number() { # NAME VALUE LEAST MOST
  case $2 in '' | *[!0-9]* | 0* | ??????*) wrong "$1 is '$2'; $3 to $4 is accepted" ;; esac
  [ "$2" -ge "$3" ] && [ "$2" -le "$4" ] || wrong "$1 is $2; $3 to $4 is accepted"
}

module='' image='' digest='' namespace=istio-ingress plugin='' prometheus='' url=''
host=shop.example.com users=300 seconds=10
while [ $# -gt 0 ]; do
  case $1 in
    --help | -h) usage && exit ;;
    --*) [ $# -gt 1 ] || wrong "$1 needs a value" ;;
  esac
  case $1 in
    --module) module=$2 ;;
    --image) image=$2 ;;
    --digest) digest=$2 ;;
    --namespace) namespace=$2 ;;
    --plugin) plugin=$2 ;;
    --prometheus) prometheus=$2 ;;
    --host) host=$2 ;;
    --users) number "$1" "$2" 10 2000 && users=$2 ;;
    --seconds) number "$1" "$2" 5 600 && seconds=$2 ;;
    -*) wrong "there is no option $1" ;;
    *) [ -z "$url" ] || wrong "one URL is accepted, and '$1' is another"
      url=$1 && shift && continue ;;
  esac
  shift 2
done
[ -n "$url" ] || wrong 'the URL is missing'
case $image in
  oci://*/*:*) ;;
  *) wrong "--image is '$image'; oci://HOST/REPOSITORY:TAG is accepted" ;;
esac
# What goes into a patch and into curl's configuration has none of their punctuation.
case $image in *[!A-Za-z0-9._:/@-]*) wrong "--image '$image' has a character of no image" ;; esac
case $host in *[!A-Za-z0-9._:-]*) wrong "--host '$host' has a character of no host" ;; esac
case $url in *[!][A-Za-z0-9._:/-]*) wrong "the URL '$url' has a character of no gateway" ;; esac
[ -z "$module" ] || [ -f "$module" ] || wrong "there is no file $module"
[ -n "$module" ] || [ -n "$digest" ] || wrong 'without --module, --digest is needed'
for program in sluice kubectl curl; do
  command -v "$program" >/dev/null || fail "there is no $program in PATH"
done
# An older one cannot print a header, and then nobody would ever seem to move.
curl --version | awk 'NR == 1 { split($2, v, "."); exit v[1] < 7 || v[1] == 7 && v[2] < 84 }' \
  || fail 'curl is too old; 7.84 or newer is needed'
if [ -z "$plugin" ]; then
  plugin=$(kubectl get wasmplugin -n "$namespace" -o name) \
    || fail 'kubectl could not look for the plugin'
  case $plugin in
    '') fail "there is no WasmPlugin in namespace $namespace" ;;
    *' '* | *'
'*) fail "namespace $namespace has several WasmPlugins; name one by --plugin" ;;
  esac
  plugin=${plugin##*/}
fi

field() { kubectl get wasmplugin "$plugin" -n "$namespace" -o "jsonpath={.spec.$1}"; }
old_image=$(field url) && old_digest=$(field sha256) \
  || fail "WasmPlugin $namespace/$plugin cannot be read"
[ -n "$old_digest" ] \
  || fail "WasmPlugin $namespace/$plugin has no sha256; pin the digest of what runs first"

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
# Each user's version, a line each; a request that fails says its status instead.
visit() {
  user=0
  while [ "$user" -lt "$users" ]; do
    [ "$user" -eq 0 ] || echo next
    printf 'url = "%s/"\nheader = "host: %s"\ncookie = "uid=user-%s"\n' \
      "${url%/}" "$host" "$user"
    printf 'output = "/dev/null"\nmax-time = 20\nsilent\ngloboff\n'
    printf 'write-out = "%%{http_code} %s %%header{x-version}\\n"\n' "$user"
    user=$((user + 1))
  done | { curl --no-progress-meter --parallel --parallel-max 10 --config - || true; } |
    awk '$1 == 200 { print $2, $3; next } { print $2, "failed-" $1 }' | sort
}
counted() {
  cut -d' ' -f2 "$1" | sort | uniq -c |
    awk '{ printf "%s %s %d", sep, $2, $1; sep = "," } END { print "" }'
}
give() { # IMAGE DIGEST
  kubectl patch wasmplugin "$plugin" -n "$namespace" --type merge \
    -p "{\"spec\":{\"url\":\"$1\",\"sha256\":\"${2#sha256:}\"}}" >/dev/null
}

if [ -n "$module" ]; then
  tag=${image##*:}
  case $tag in [0-9]*.[0-9]*.[0-9]*) set -- --image-version "$tag" ;; *) set -- ;; esac
  sluice push "$module" "$image" "$@" >"$scratch/pushed" || fail "$module was not pushed"
  digest=$(grep -o 'sha256:[0-9a-f]*' "$scratch/pushed" | head -n 1)
fi
hex=${digest#sha256:}
case $hex in *[!0-9a-f]*) hex='' ;; esac
[ "${#hex}" -eq 64 ] && [ "$digest" = "sha256:$hex" ] \
  || wrong "the digest is '$digest'; sha256: and 64 hexadecimal digits are accepted"
echo "1. the image is $image, $digest"

# What a command said matters where it failed.
said() { cat "$scratch/said" >&2; "$@"; }
sluice validate -n "$namespace" --plugin "$plugin" >"$scratch/said" 2>&1 \
  || said fail 'the plugin is not good as it is'
echo "2. the configuration of WasmPlugin $namespace/$plugin is good"

visit >"$scratch/before"
if grep -q failed- "$scratch/before"; then
  fail "requests fail already:$(counted "$scratch/before")"
fi
awk 'NF == 2' "$scratch/before" | awk -v users="$users" 'END { exit NR != users }' \
  || fail 'not every answer has the header x-version, by which users are watched'
echo "3. before, $users users have:$(counted "$scratch/before")"
echo "   the way back: --image $old_image --digest sha256:$old_digest"

back() {
  trap '' HUP INT TERM
  tries=1
  until give "$old_image" "sha256:$old_digest"; do
    [ "$tries" -lt 10 ] \
      || fail "$1; NOT taken back. The former one: --image $old_image --digest sha256:$old_digest"
    tries=$((tries + 1)) && sleep 3
  done
  echo "upgrade.sh: $1; the former module is wanted again" >&2
  join "$scratch/before" "$scratch/now" |
    awk '$2 != $3 && n++ < 5 { print "user-" $1 " had " $2 ", now " $3 }' >&2
  exit 1
}
trap 'back stopped' HUP INT TERM
give "$image" "$digest" || fail 'the plugin was not changed'
passes=0 ends=$(($(date +%s) + seconds)) latest=$(($(date +%s) + seconds + 120))
while :; do
  visit >"$scratch/now"
  cmp -s "$scratch/before" "$scratch/now" || back 'users changed versions, or requests failed'
  passes=$((passes + 1)) now=$(date +%s)
  [ "$now" -ge "$ends" ] || continue
  [ -n "$prometheus" ] || break
  if sluice status -n "$namespace" --plugin "$plugin" --prometheus "$prometheus" \
    >"$scratch/said" 2>&1; then break; fi
  [ "$now" -lt "$latest" ] || said back 'not every proxy follows'
done
after=$(counted "$scratch/now")
echo "4. after, they have:$after; looked at $passes times, nobody moved, no request failed"
[ -n "$prometheus" ] || echo '   whether every proxy follows is known with --prometheus alone'
echo "5. put it into Git: url: $image, sha256: ${digest#sha256:}"
