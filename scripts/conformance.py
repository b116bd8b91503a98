"""Who agrees with whom: the maps of other libraries beside ours, of one small network with the same weights.

    pip install -r scripts/benchmark-requirements.txt saliency
    python scripts/conformance.py
    python scripts/conformance.py --python other-venv/bin/python --arrays tests/data

Each family of libraries is run in a process of its own, by `--python`, which may be another environment's; libraries
that are not installed there are left out. For each method that a library has too, the table says the least that has to
be done to our map to make it theirs, and by which definition: docs/CONFORMANCE.md has it. The arrays are kept in
`--arrays`, so that `gradcam conformance` can be tried on them. With `--made` the table is made of those that are there.
"""

from __future__ import annotations

import argparse
import json
import pathlib
import subprocess
import sys
import tempfile
from collections.abc import Collection, Iterator, Sequence

import numpy as np

from gradcam.terminal import quiet_tensorflow, run_script

with quiet_tensorflow():
    from gradcam.comparison import Candidates, Match, explained, identify, write_reference
    from slim_models.files import whole_file

FAMILIES = ("torch", "keras")
SCRIPTS = pathlib.Path(__file__).parent / "benchmarks"
HEADER = ["library", "theirs", "ours", "verdict", "by which definition", "largest difference", "correlation", "rank"]


def main(argv: Sequence[str] | None = None) -> pathlib.Path:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--python", default=sys.executable, metavar="PATH", help="that has the libraries")
    parser.add_argument("--arrays", type=pathlib.Path, default=pathlib.Path("out"), metavar="DIR", help="of the maps")
    parser.add_argument("--made", action="store_true", help="of the maps that are there; no library is run")
    parser.add_argument("--out", type=pathlib.Path, default=pathlib.Path("out/conformance.md"), metavar="FILE.md")
    args = parser.parse_args(argv)
    if not args.made:
        make(args.python, args.arrays)
    lines = ["| " + " | ".join(HEADER) + " |", "| " + " | ".join(["---"] * len(HEADER)) + " |"]
    lines += [f"| {' | '.join(row)} |" for row in rows(args.arrays)]
    text = "\n".join(lines) + "\n"
    args.out.parent.mkdir(parents=True, exist_ok=True)
    with whole_file(args.out) as temporary:
        temporary.write_text(text, encoding="utf-8")
    print(f"{text}\n{args.out}")
    return args.out


def make(python: str, folder: pathlib.Path) -> None:
    """The maps of all libraries that are installed, in `conformance_FAMILY.npz`."""
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as place:
        reference = write_reference(pathlib.Path(place) / "reference.npz").resolve()
        for family in FAMILIES:
            out = (folder / f"conformance_{family}.npz").resolve()
            command = [python, "-m", f"conforming.{family}_maps", str(reference), str(out)]
            subprocess.run(command, cwd=SCRIPTS, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def rows(folder: pathlib.Path, but: Collection[str] = ()) -> Iterator[list[str]]:
    """The table, library by library; `but`: methods of ours that are left out."""
    with explained() as one:
        candidates = Candidates(one)
        for family in FAMILIES:
            with np.load(folder / f"conformance_{family}.npz") as arrays:
                versions = json.loads(str(arrays["versions"]))
                for name in arrays.files:
                    if name != "versions" and name.split("/")[2] not in but:
                        yield row(name, versions, identify(arrays[name], candidates, name.split("/")[2]))


def row(name: str, versions: dict[str, str], match: Match) -> list[str]:
    library, theirs, ours = name.split("/")
    found = match.likeness
    done = ", ".join([found.how] * bool(found.how) + ["scaled"] * found.fitted)
    says = match.definition.says if match.agrees else f"nearest: {match.definition.says or 'ours'}"
    how = "; ".join(filter(None, [says, done]))
    numbers = [f"{found.difference:.0e}", f"{found.correlation:.4f}", f"{found.rank:.4f}"]
    return [f"{library} {versions[library]}", f"`{theirs}`", f"`{ours}`", match.verdict, how, *numbers]


if __name__ == "__main__":
    run_script("conformance", main)
