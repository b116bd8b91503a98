"""From the start of a process to the first heat map on the disk, by `gradcam explain`, beside `import tensorflow`.

    python scripts/benchmarks/benchmark_start.py
    python scripts/benchmarks/benchmark_start.py --rounds 10 --networks vgg16 resnet_v1_101

In turns, each in a process of its own: seconds of the clock, and of the processor (those in the system with them), the
least and the median of each. Weights that are not here are drawn at random.
"""

from __future__ import annotations

import argparse
import os
import pathlib
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from typing import NamedTuple

from benchmarking.measuring import positive

from gradcam.terminal import quiet_tensorflow, run_script

with quiet_tensorflow():
    from benchmarking.tables import table

    import slim_models

ALONE = "import tensorflow"


class Seconds(NamedTuple):
    """Of a process: of the clock, and of the processor."""

    clock: float
    processor: float


def main(argv: list[str] | None = None) -> dict[str, list[Seconds]]:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    names = [slim_models.DEFAULT_NETWORK, "resnet_v1_50", "vgg16"]
    parser.add_argument("--networks", nargs="+", default=names, metavar="NAME", help=f"default: {' '.join(names)}")
    parser.add_argument("--rounds", type=positive, default=5, metavar="N", help="default: %(default)s")
    args = parser.parse_args(argv)
    with tempfile.TemporaryDirectory() as folder:
        commands = {ALONE: ["-c", ALONE]}
        commands |= {name: explaining(name, pathlib.Path(folder)) for name in args.networks}
        found: dict[str, list[Seconds]] = {name: [] for name in commands}
        for _ in range(args.rounds):
            for name, command in commands.items():
                found[name].append(seconds_of([sys.executable, *command]))
    heading = ["", "clock, s: least", "median", "processor, s: least", "median"]
    print(table(heading, [[name, *cells(seconds)] for name, seconds in found.items()]))
    return found


def explaining(name: str, folder: pathlib.Path) -> list[str]:
    """Of Python, what explains a picture by a network: all of `gradcam explain` with one file to write."""
    try:
        weights = slim_models.find_weights(name)
    except FileNotFoundError:
        weights = folder / f"{name}.npy"
        slim_models.write_weights(weights, slim_models.random_weights(slim_models.build(name)))
    flags = ["--network", name, "--weights", str(weights), "--write", "overlay", "--force"]
    return ["-m", "gradcam", "explain", "sample:coffee", *flags, "--out", str(folder / "out")]


def seconds_of(command: Sequence[str]) -> Seconds:
    """What a process takes, from its start to its end."""
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run(command, check=True, capture_output=True, env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"})
    clock, after = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    return Seconds(clock, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)


def cells(seconds: Sequence[Seconds]) -> list[str]:
    """The least and the median of the clock, and those of the processor."""
    return [f"{of(column):.2f}" for column in zip(*seconds) for of in (min, statistics.median)]


if __name__ == "__main__":
    run_script("benchmark_start", main)
