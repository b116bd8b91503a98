"""What a framework gets out of this machine, in a process of its own.

    python -m benchmarking.probe tensorflow --convolutions '[[14, 14, 3, 3, 512, 512]]'

in the folder `scripts`. Says in one line of JSON how many operations a second (a multiplication and an addition are
two) its convolutions and its matrix product do, and how many bytes it reads; each is the best of several runs.
"""

from __future__ import annotations

import argparse
import importlib
import json
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

from peers.process import prepare, private_output, versions

FRAMEWORKS = ("tensorflow", "torch")
PRECISIONS = ("float32", "bfloat16")
BATCHES = (1, 8)
SIDE = 2048  # of the matrices
MATRIX = (25088, 4096)  # VGG16's fc6, larger than any cache


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("framework", choices=FRAMEWORKS)
    parser.add_argument("--convolutions", required=True, type=json.loads, help="[[h, w, kh, kw, in, out], ...]")
    parser.add_argument("--seconds", type=float, default=0.25, help="for each number (default: %(default)s)")
    args = parser.parse_args(argv)
    output = private_output()
    try:
        prepare()
        framework = importlib.import_module(f"benchmarking.probe_{args.framework}")
        answer: dict[str, Any] = {"versions": versions([args.framework])}
        for precision in PRECISIONS:
            answer[precision] = probe(framework, precision, args.convolutions, args.seconds)
    except Exception as error:  # whatever the framework raises
        answer = {"error": " ".join(f"{type(error).__name__}: {error}".split())[:300]}
    print(json.dumps(answer), file=output, flush=True)
    return int("error" in answer)


def probe(framework: Any, precision: str, convolutions: Sequence[Sequence[int]], seconds: float) -> dict[str, Any]:
    """The numbers of a framework in a precision; `framework` is a module `probe_...`."""
    found = []
    for height, width, *kernel in convolutions:
        for batch in BATCHES:
            operations = 2 * batch * height * width * kernel[0] * kernel[1] * kernel[2] * kernel[3]
            took = best(framework.convolution(batch, height, width, kernel, precision), seconds)
            found.append({"batch": batch, "shape": [height, width, *kernel], "per_second": operations / took})
    size = 4 if precision == "float32" else 2
    readers = (framework.product(1, *MATRIX, precision), framework.total(*MATRIX, precision))
    return {
        "convolutions": found,
        "matmul": 2 * SIDE**3 / best(framework.product(SIDE, SIDE, SIDE, precision), seconds),
        "bytes": MATRIX[0] * MATRIX[1] * size / min(best(run, seconds) for run in readers),
    }


def best(run: Callable[[], object], seconds: float) -> float:
    """Seconds that the quickest of several runs takes: the machine may be disturbed, but is never too quick."""
    run()
    times: list[float] = []
    while len(times) < 3 or sum(times) < seconds:
        began = time.perf_counter()
        run()
        times.append(time.perf_counter() - began)
    return min(times)


if __name__ == "__main__":
    sys.exit(main())
