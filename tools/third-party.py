"""Prints the licences of everything that is linked into what we publish, each text once.

Arguments: files that `cargo tree` wrote, a crate a line as `DEPTH|NAME vVERSION…|LICENCE`. The texts are
those that the crates' packages have. Called by tools/release.sh.
"""

import json
import re
import subprocess
import sys
from pathlib import Path

TEXTS = re.compile(r"(licen[sc]e|copying|notice|copyright|unlicense)", re.IGNORECASE)


def linked(trees):
    """Name and version of each crate, with its licence's name."""
    crates = {}
    for tree in trees:
        for line in Path(tree).read_text().splitlines():
            _, package, licence = line.split("|")
            name, version = package.split()[:2]
            crates[name, version.removeprefix("v")] = licence.removesuffix(" (*)")
    return crates


def folders():
    """Where each crate's package is; none for our own, which are under LICENSE."""
    metadata = subprocess.run(
        ["cargo", "metadata", "--locked", "--format-version", "1"], check=True, stdout=subprocess.PIPE
    )
    packages = json.loads(metadata.stdout)["packages"]
    return {(p["name"], p["version"]): Path(p["manifest_path"]).parent for p in packages if p["source"]}


def main(trees):
    crates, where = linked(trees), folders()
    others = sorted(crate for crate in crates if crate in where)
    texts = {}
    print("What is linked into Sluice's program and module, and under which licence.\n")
    for crate in others:
        print(f"{crate[0]} {crate[1]}: {crates[crate]}")
        files = [f for f in where[crate].iterdir() if f.is_file() and TEXTS.match(f.name)]
        for file in sorted(files):
            text = "\n".join(line.rstrip() for line in file.read_text(errors="replace").splitlines()).strip()
            texts.setdefault(text, []).append(f"{crate[0]} {crate[1]} ({file.name})")
    for text, of in sorted(texts.items(), key=lambda entry: entry[1]):
        print("\n" + "-" * 80 + "\n" + "\n".join(of) + "\n\n" + text)


main(sys.argv[1:])
