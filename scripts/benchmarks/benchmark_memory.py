"""Memory stays flat: explains thousands of pictures in every way, and watches what the process holds.

    python scripts/benchmarks/benchmark_memory.py
    python scripts/benchmarks/benchmark_memory.py --network vgg16 --explanations 2000 --every 100
    python scripts/benchmarks/benchmark_memory.py --photographs 8660x5774 --count 24

The pictures are random, of one size; maps, guided Grad-CAM, several classes of one picture and bare predictions
take turns. The first fifth is warm-up. Ends with 0 if memory is flat, with 1 if it grows.

With --photographs: the most memory that `gradcam explain` takes for a folder of JPEGs of that size, and how long.
Ends with 0 if that is less than 2 GB.
"""

from __future__ import annotations

import argparse
import dataclasses
import itertools
import pathlib
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence

import numpy as np
from benchmarking.measuring import arguments, pictures, positive, sized_network
from benchmarking.photographs import make_photographs, parse_size

from gradcam.terminal import quiet_tensorflow, run_script
from slim_models.mistakes import BadValue

with quiet_tensorflow():
    from gradcam.explainer import Explainer

WARM_UP = 0.2  # share of the explanations
# Peak memory is that of the largest child of a process, which counts what its parent held when it began: so a small
# process stands between.
BETWEEN = """
import resource, subprocess, sys
subprocess.run(sys.argv[1:], check=True, stdout=subprocess.DEVNULL)
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
"""
PROMISED = 2 * 10**6  # KB, for any folder of photographs
TOLERANCE = 0.02  # growth, over all that follows the warm-up, as a share of what is held then


def main(argv: list[str] | None = None) -> bool:
    """Whether memory is flat, or for a folder of photographs as small as promised."""
    args = _parser().parse_args(argv)
    if args.photographs:
        return of_photographs(args.network, parse_size(args.photographs), args.count) < PROMISED
    if args.explanations < 10 * args.every or args.every < args.batch:
        raise BadValue("--explanations must be at least 10 times --every, and --every at least --batch")
    network, weights = sized_network(args.network, args.weights)
    print("explanations  resident memory, MB")
    counts, held = [], []
    with Explainer(network, weights) as explainer:
        del weights
        for count in explained(explainer, args.batch, args.explanations):
            if count // args.every > (count - args.batch) // args.every:
                counts.append(count)
                held.append(resident_kb())
                print(f"{count:12d}  {held[-1] / 1024:19.1f}", flush=True)
    found = growth(counts, held)
    print(found)
    return found.flat


def _parser() -> argparse.ArgumentParser:
    parser = arguments(__doc__)
    parser.add_argument("--explanations", type=positive, default=10000, metavar="N", help="default: %(default)s")
    parser.add_argument("--batch", type=positive, default=8, metavar="N", help="pictures a run (default: %(default)s)")
    parser.add_argument("--every", type=positive, default=500, metavar="K", help="look so often (default: %(default)s)")
    text = "the peak memory of gradcam explain on JPEGs of that size instead"
    parser.add_argument("--photographs", metavar="WxH", help=text)
    parser.add_argument("--count", type=positive, default=24, metavar="N", help="of these (default: %(default)s)")
    return parser


def of_photographs(network: str, size: tuple[int, int], count: int) -> int:
    """The most memory that explaining a folder of JPEGs takes, in KB; prints it, and the seconds."""
    with tempfile.TemporaryDirectory() as folder:
        paths = make_photographs(pathlib.Path(folder), count, size, seed=0)
        command = [sys.executable, "-m", "gradcam", "explain", *paths, "--network", network, "--out", f"{folder}/out"]
        began = time.monotonic()
        peak = peak_kb(command)
    each = f"{count} photographs of {size[1]} x {size[0]}"
    print(f"{each}: {time.monotonic() - began:.1f} s, at most {peak / 1000:.0f} MB")
    return peak


def peak_kb(command: Sequence[str]) -> int:
    """The most memory that a program of its own held, in KB."""
    between = [sys.executable, "-c", BETWEEN, *command]
    most = int(subprocess.run(between, check=True, capture_output=True, text=True).stdout)
    return most // 1024 if sys.platform == "darwin" else most  # bytes there


def explained(explainer: Explainer, batch: int, total: int) -> Iterator[int]:
    """Explains `total` pictures or a few more, a batch at a time; yields how many are done, after each batch."""
    ways = ways_of(explainer, batch)
    for number, way in enumerate(itertools.cycle(ways)):
        way(pictures(batch, explainer.network, seed=number))
        done = (number + 1) * batch
        yield done
        if done >= total:
            return


def ways_of(explainer: Explainer, batch: int) -> list[Callable[[np.ndarray], object]]:
    """What is done with a batch of pictures, in turns; a class of one picture counts as a picture."""
    classes = np.arange(batch) % explainer.network.num_classes
    return [
        lambda images: explainer.explain(images).heatmap(),
        lambda images: explainer.explain(images, classes).guided_grad_cam(),
        lambda images: explainer.explain_classes(images[0], classes).heatmap(),
        explainer.predict,
    ]


def resident_kb() -> int:
    """What the process holds in memory, in KB; where there is no /proc, the most that it ever held."""
    try:
        lines = pathlib.Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS:"))
    except (OSError, StopIteration):
        import resource

        most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return most // 1024 if sys.platform == "darwin" else most  # bytes there, KB elsewhere


@dataclasses.dataclass(frozen=True)
class Growth:
    """What happens to memory after the warm-up.

    Attributes:
        slope: KB an explanation, of the line of least squares.
        total: KB, by that line, from the warm-up to the end.
        held: KB on the line at its beginning.
    """

    slope: float
    total: float
    held: float

    @property
    def flat(self) -> bool:
        """Whether it grows by less than a fiftieth; shrinking is no growth."""
        return self.total < TOLERANCE * self.held

    def __str__(self) -> str:
        share = f"{self.total / self.held:+.2%} of {self.held / 1024:.1f} MB"
        return f"{self.slope:+.4f} KB an explanation, {share}: {'flat' if self.flat else 'GROWS'}"


def growth(counts: Sequence[int], held: Sequence[float]) -> Growth:
    """The line through what was held, in KB, after so many explanations; without the warm-up."""
    x, y = np.asarray(counts, np.float64), np.asarray(held, np.float64)
    after = x > WARM_UP * x[-1]
    x, y = x[after], y[after]
    slope, middle = np.polyfit(x - x.mean(), y, 1)
    return Growth(float(slope), float(slope * (x[-1] - x[0])), float(middle + slope * (x[0] - x.mean())))


if __name__ == "__main__":
    run_script("benchmark_memory", lambda: sys.exit(0 if main() else 1))
