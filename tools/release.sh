#!/usr/bin/env bash
# Packs what was built into the folder that a release is. Called by `make release`, which builds it and sets the variables.
# Argument: the folder; what is there is replaced.
set -euo pipefail
out=$1 name=sluice-$VERSION
new=$out.new
rm -rf "$new" && mkdir -p "$new"
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

# pack NAME FOLDER [PATH...]: an archive of a folder, or of paths in it, with nothing of this machine or of this hour.
pack() {
  local archive=$new/$1 folder=$2
  shift 2
  # shellcheck disable=SC2086
  tar -C "$folder" $PACKED -c "${@:-.}" | gzip -n9 >"$archive"
}

# What people and clusters run.
for pair in $BINARIES; do
  folder=$scratch/program-${pair%%=*}/$name
  mkdir -p "$folder/completions" "$folder/man"
  cp "${pair#*=}" LICENSE "$folder/"
  [ "${pair%%=*}" != "$(uname -m | sed 's/x86_64/amd64/; s/aarch64/arm64/')" ] || sluice=$folder/sluice
done
[ -n "${sluice:-}" ] || { echo "BINARIES='$BINARIES': none is for this machine, and the manual is written by one" >&2; exit 2; }
cp "$sluice" "$scratch/sluice"
mkdir "$scratch/man"
"$scratch/sluice" man "$scratch/man" >"$scratch/said" 2>&1 || { cat "$scratch/said" >&2; exit 1; }
for shell in bash zsh fish; do "$scratch/sluice" completion $shell >"$scratch/sluice.$shell"; done
for pair in $BINARIES; do
  folder=$scratch/program-${pair%%=*}/$name
  cp "$scratch"/sluice.{bash,zsh,fish} "$folder/completions/"
  cp "$scratch"/man/* "$folder/man/"
  pack "$name-linux-${pair%%=*}.tar.gz" "$scratch/program-${pair%%=*}" "$name"
done
cp "$KREW"/kubectl-sluice-*.tar.gz "$new/"
cp "$KREW/sluice.yaml" "$new/krew-sluice.yaml"

# What proxies run.
cp "$MODULE" "$new/$name.wasm"
for pair in $LIBRARIES; do cp "${pair#*=}" "$new/lib$name-linux-${pair%%=*}.so"; done

# The images of both, as `sluice push` takes them once they are unpacked, and what is said of them.
for image in program module; do
  pack "$name-image-$image.tar.gz" "$IMAGES" "$image"
  for kind in cyclonedx in-toto; do
    python3 tools/referrer.py "$IMAGES/$image" $kind >"$new/$name-$image.$kind.json"
  done
done

# What one applies.
"$HELM" package -d "$scratch/chart" wasmplugin/chart >/dev/null
mkdir "$scratch/unpacked" && tar -xzf "$scratch/chart/$name.tgz" -C "$scratch/unpacked"
pack "$name-chart.tgz" "$scratch/unpacked" sluice
"$scratch/sluice" crds >"$new/$name-crds.yaml"
cp wasmplugin/config.schema.json "$new/$name-config.schema.json"
# With the chart, which examples install, and the pages to which they link, all where they are in the repository, and as they
# were committed.
mkdir "$scratch/$name-manifests"
git archive HEAD -- wasmplugin docs LICENSE ':(glob)*.md' | tar -x -C "$scratch/$name-manifests"
pack "$name-manifests.tar.gz" "$scratch" "$name-manifests"

# What one reads.
pack "$name-book.tar.gz" "$TARGET" book
python3 tools/third-party.py $TREES >"$new/$name-third-party.txt"
cp LICENSE "$new/"
tools/release-notes.sh "$VERSION" >"$new/RELEASE-NOTES.md"

(cd "$new" && LC_ALL=C && sha256sum -- * >"$scratch/sums" && mv "$scratch/sums" SHA256SUMS)
rm -rf "$out" && mv "$new" "$out"
