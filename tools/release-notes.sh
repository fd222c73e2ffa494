#!/usr/bin/env bash
# What CHANGELOG.md says of a version, below what RELEASES.md says of it: the notes of its release. Before the changelog has a
# section of the version, its section is `Unreleased`. Argument: the version.
set -euo pipefail
version=$1
# section FILE HEADING: what stands below a heading of the second level, to the next one.
section() { awk -v wanted="## $2" '/^## / { inside = ($0 == wanted) } inside' "$1"; }
notes=$(section RELEASES.md "$version")
[ -n "$notes" ] || { echo "RELEASES.md has no section \"## $version\"" >&2; exit 1; }
changes=$(section CHANGELOG.md "$version")
[ -n "$changes" ] || changes=$(section CHANGELOG.md Unreleased)
[ -n "$changes" ] || { echo "CHANGELOG.md has neither \"## $version\" nor \"## Unreleased\"" >&2; exit 1; }
printf '# Sluice %s\n\n%s\n\n## Every change\n\n%s\n' "$version" "$(tail -n +3 <<<"$notes")" "$(tail -n +3 <<<"$changes")"
