"""Prints what refers to the image of an OCI layout: its bill of materials, or its provenance.

Arguments: the folder of the layout, and a word of the type that is wanted. Called by tools/release.sh.
"""

import json
import sys
from pathlib import Path


def blob(folder, descriptor):
    algorithm, digest = descriptor["digest"].split(":")
    return (folder / "blobs" / algorithm / digest).read_bytes()


def main(folder, word):
    index = json.loads((folder / "index.json").read_bytes())
    found = []
    for descriptor in index["manifests"]:
        manifest = json.loads(blob(folder, descriptor))
        if "subject" in manifest:
            found += [layer for layer in manifest["layers"] if word in layer["mediaType"]]
    if len(found) != 1:
        sys.exit(f"{folder}: {len(found)} referrers of the type {word}; accepted: one")
    sys.stdout.buffer.write(blob(folder, found[0]))


main(Path(sys.argv[1]), sys.argv[2])
