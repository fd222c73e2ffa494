#!/usr/bin/env bash
# Whether a release's folder has every file, none besides, and each as its checksum says, and whether what can be tried of it
# here works. Arguments: the folder, the version, and the processors as Go calls them.
set -euo pipefail
folder=$1 version=$2 name=sluice-$2
shift 2
fail() { echo "$folder: $*" >&2; exit 1; }

wanted="LICENSE RELEASE-NOTES.md SHA256SUMS krew-sluice.yaml"
for file in .wasm -chart.tgz -crds.yaml -config.schema.json -manifests.tar.gz -book.tar.gz -third-party.txt \
  -image-program.tar.gz -image-module.tar.gz -program.cyclonedx.json -program.in-toto.json -module.cyclonedx.json \
  -module.in-toto.json; do
  wanted+=" $name$file"
done
for processor; do
  wanted+=" $name-linux-$processor.tar.gz kubectl-$name-linux-$processor.tar.gz lib$name-linux-$processor.so"
done
sorted() { tr ' ' '\n' | LC_ALL=C sort; }
difference=$(diff <(sorted <<<"$wanted") <(ls -A "$folder" | sorted)) || fail "the files are not those of a release (< is missing,
> is too much): $difference"
(cd "$folder" && sha256sum --check --strict --quiet SHA256SUMS) || fail "a file is not as SHA256SUMS says"
listed=$(cut -c67- "$folder/SHA256SUMS" | sorted)
[ "$listed" = "$(sorted <<<"${wanted/ SHA256SUMS/}")" ] || fail "SHA256SUMS does not list every file"
for file in "$folder"/*; do [ -s "$file" ] || fail "$file is empty"; done

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
for archive in "$folder"/*gz; do tar -xzf "$archive" -C "$scratch" || fail "$archive cannot be unpacked"; done
processor=$(uname -m | sed 's/x86_64/amd64/; s/aarch64/arm64/')
tar -xzf "$folder/$name-linux-$processor.tar.gz" -C "$scratch"
sluice=$scratch/$name/sluice
[ "$("$sluice" --version)" = "sluice $version" ] || fail "the program says $("$sluice" --version); accepted: sluice $version"
[ -s "$scratch/$name/man/sluice.1" ] && [ -s "$scratch/$name/completions/sluice.bash" ] || fail "no manual, or no completions"
"$sluice" crds | cmp - "$folder/$name-crds.yaml" || fail "the definitions are others than the program's"
grep -q "^version: $version\$" "$scratch/sluice/Chart.yaml" || fail "the chart is not of version $version"
[ -s "$scratch/book/index.html" ] || fail "the book has no first page"
manifests=$scratch/$name-manifests
[ -s "$manifests/wasmplugin/base/kustomization.yaml" ] || fail "the manifests are not there"
# Wherever an example's page leads, and the chart that it installs.
while IFS=: read -r page link; do
  [ -e "$(dirname "$page")/$link" ] || fail "${page#"$manifests"/} leads to $link, which is not there"
done < <(grep -rHoP '\]\(\K[^)#:]+(?=[)#])' --include='*.md' "$manifests/wasmplugin/examples")
[ -s "$manifests/wasmplugin/chart/Chart.yaml" ] || fail "the chart that examples install is not among the manifests"
[ "$(head -c 4 "$folder/$name.wasm" | od -An -tx1 | tr -d ' ')" = 0061736d ] || fail "$name.wasm is no wasm module"
# The number of each processor in the head of its programs and libraries.
machine() { od -An -j18 -N2 -tx1 | tr -d ' '; }
for processor; do
  case $processor in amd64) number=3e00 ;; arm64) number=b700 ;; *) fail "the processor $processor is not known" ;; esac
  for archive in "$name=$name/sluice" "kubectl-$name=kubectl-sluice"; do
    [ "$(tar -xOzf "$folder/${archive%=*}-linux-$processor.tar.gz" "${archive#*=}" 2>/dev/null | machine)" = $number ] ||
      fail "${archive%=*}-linux-$processor.tar.gz has no ${archive#*=} for $processor"
  done
  [ "$(machine <"$folder/lib$name-linux-$processor.so")" = $number ] || fail "lib$name-linux-$processor.so is for another processor"
done
for image in program module; do
  [ -s "$scratch/$image/index.json" ] || fail "the image of the $image is no OCI layout"
done
for bill in program module; do
  grep -q '"bomFormat":"CycloneDX"' <(tr -d ' \n' <"$folder/$name-$bill.cyclonedx.json") || fail "the $bill has no bill of materials"
done
for archive in "$folder"/kubectl-*.tar.gz; do
  grep -q "$(sha256sum "$archive" | cut -d' ' -f1)" "$folder/krew-sluice.yaml" || fail "krew's manifest does not name $archive as it is"
done
grep -q '^serde .*MIT' "$folder/$name-third-party.txt" || fail "third-party.txt does not name serde"
