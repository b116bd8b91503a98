"""Damages files of every kind that is read, thousands of times, and tells what is not refused in one line.

    python scripts/fuzz.py --minutes 30
    python scripts/fuzz.py --minutes 5 --reader "frozen graph" --seed 1000000

Every reader gets its share of the time. A fault is an exception that is no mistake of the user's, a process that ends,
more than 10 seconds or 2 GB, or values that cannot be; its file and what came of it are kept in `out/fuzz`. The exit
code is 1 if there was one. A case is made again by its reader and its number: `--seed NUMBER --cases 1`.
"""

from __future__ import annotations

import argparse
import collections
import math
import pathlib
import shutil
import sys
import tempfile
import time

from gradcam.terminal import run_script
from slim_models.mistakes import BadValue, check_name

TESTS = pathlib.Path(__file__).resolve().parent.parent / "tests" / "helpers"  # whose small files these are
_AT_ONCE = 50  # cases of a reader, before it is another's turn


def main(argv: list[str] | None = None) -> int:
    """The number of readers with faults, at most 1."""
    args = _parser().parse_args(argv)
    if not TESTS.is_dir():
        raise BadValue("the files that are damaged are made by the tests: run this in a checkout")
    sys.path.insert(0, str(TESTS))
    from fuzzing import trying
    from fuzzing.readers import READERS

    for name in args.reader or ():
        check_name("reader", name, READERS)
    names = args.reader or list(READERS)
    counts = {name: collections.Counter[str]() for name in names}
    began, first = time.monotonic(), args.seed
    while not (args.cases and first >= args.seed + args.cases):
        last = min(first + _AT_ONCE, args.seed + args.cases) if args.cases else first + _AT_ONCE
        with tempfile.TemporaryDirectory() as folder:
            for case in trying.apart([(name, range(first, last)) for name in names], pathlib.Path(folder) / "files"):
                _count(counts[case.reader], case)
                if case.is_fault:
                    _keep(args.out, case, pathlib.Path(folder) / "files")
                if time.monotonic() - began > 60 * args.minutes:
                    return _told(counts)
        first = last
    return _told(counts)


def _count(count: collections.Counter[str], case) -> None:
    count[case.outcome] += 1
    count["seconds"] = max(count["seconds"], math.ceil(case.seconds))


def _keep(out: pathlib.Path, case, files: pathlib.Path) -> None:
    """The files of a fault, and what it was."""
    place = out / f"{case.reader}-{case.number}".replace(" ", "_").replace("'", "").replace(",", "")
    shutil.rmtree(place, ignore_errors=True)
    kept = sorted(files.glob(f"*/fault-{case.number}"), key=lambda one: one.stat().st_ctime)
    for found in (kept or [*files.glob("*/case")])[-1:]:  # the latter if it has ended its process
        shutil.copytree(found, place)
    place.mkdir(parents=True, exist_ok=True)
    (place / "FAULT.txt").write_text(f"{case.reader}, case {case.number}: {case.outcome}\n{case.text}\n", "utf-8")
    print(
        f"{case.reader} {case.number}: {case.outcome}: {(case.text.strip().splitlines() or [''])[-1][:200]}", flush=True
    )


def _told(counts: dict[str, collections.Counter[str]]) -> int:
    """A line for every reader; 1 if there was a fault."""
    faults = 0
    print(f"{'reader':24} {'read':>7} {'refused':>8} {'faults':>7} {'longest, s':>11}")
    for name, count in counts.items():
        wrong = sum(count.values()) - count["read"] - count["refused"] - count["seconds"]
        faults += wrong
        print(f"{name:24} {count['read']:7} {count['refused']:8} {wrong:7} {count['seconds']:11}")
    total = sum(sum(count.values()) - count["seconds"] for count in counts.values())
    print(f"{total:,} cases, {faults} faults")
    return int(faults > 0)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=1, help="how long (default: %(default)s)")
    parser.add_argument("--reader", action="append", metavar="NAME", help="only this one; may be given again")
    parser.add_argument("--seed", type=int, default=0, metavar="NUMBER", help="of the first case (default: 0)")
    parser.add_argument(
        "--cases", type=int, default=0, help="of every reader; the default is as many as there is time for"
    )
    parser.add_argument("--out", type=pathlib.Path, default="out/fuzz", metavar="DIR", help="default: %(default)s")
    return parser


if __name__ == "__main__":
    run_script("fuzz", main)
