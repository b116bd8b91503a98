"""What every method costs for one picture: its runs of the network, and milliseconds from the picture to the map.

    python scripts/benchmarks/benchmark_methods.py
    python scripts/benchmarks/benchmark_methods.py --network vgg16 --methods grad_cam rise

prints Markdown. Each method has an explainer of its own, which is made to say what that method needs and no more; the
explanation counts. Beside the clock's milliseconds are the processor's, of all threads, which a busy machine changes
less.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import numpy as np
from benchmarking.measuring import arguments, pictures, sized_network

from gradcam.methods import REGISTRY, Method, methods_named, needs
from gradcam.terminal import quiet_tensorflow, run_script

with quiet_tensorflow():
    from benchmarking.tables import table

    from gradcam.explainer import Explainer


def main(argv: list[str] | None = None) -> None:
    args = _parser().parse_args(argv)
    network, weights = sized_network(args.network, args.weights)
    image = pictures(1, network)
    rows = []
    for name, method in methods_named(args.methods).items():
        with Explainer(network, weights, **needs({name: method})) as explainer:
            clock, processor = costs(explainer, method, image, args.seconds)
        rows.append([f"`{name}`", method.runs or "0", f"{clock:.3g}", f"{processor:.3g}"])
    size = " x ".join(map(str, network.image_size))
    print(table([f"{args.network}, {size}", "runs", "ms", "ms of the processor"], rows))


def costs(explainer: Explainer, method: Method, image: np.ndarray, seconds: float) -> tuple[float, float]:
    """Milliseconds of the clock and of the processor from one picture `[1, H, W, 3]` to its map: medians."""
    return measured(lambda: method.make(explainer.explain(image)), seconds)


def measured(run: Callable[[], object], seconds: float) -> tuple[float, float]:
    """Medians of milliseconds of the clock and of the processor, of as many runs as fit, after one that does not count.

    Args:
        run: what is measured.
        seconds: that its runs take together; there is at least one.
    """
    run()
    found: list[tuple[float, float]] = []
    while not found or sum(clock for clock, _ in found) < 1000 * seconds:
        began, spent = time.perf_counter(), time.process_time()
        run()
        found.append((1000 * (time.perf_counter() - began), 1000 * (time.process_time() - spent)))
    clock, processor = np.median(found, axis=0)
    return float(clock), float(processor)


def _parser() -> argparse.ArgumentParser:
    parser = arguments(__doc__)
    parser.add_argument("--methods", nargs="+", default=list(REGISTRY), metavar="NAME", help="default: all")
    text = "of runs of each method, which has one at least (default: %(default)s)"
    parser.add_argument("--seconds", type=float, default=3.0, metavar="S", help=text)
    return parser


if __name__ == "__main__":
    run_script("benchmark_methods", main)
