"""How the cost of an explanation grows with the batch, the pictures, the classes and the depth of the layer.

    python scripts/benchmarks/benchmark_growth.py --quick
    python scripts/benchmarks/benchmark_growth.py --network vgg16 --out out

writes `growth_NETWORK.png`, four panels of medians with the quartiles as bands, and the numbers as JSON. All but
the first panel explain one picture at a time. For pictures of other sizes than its own a network has random weights,
of which VGG16 at 448 x 448 has so many that drawing them takes some 8 GB of memory (see `--sizes`).
"""

from __future__ import annotations

import argparse
import dataclasses
import pathlib
import sys
from collections.abc import Callable, Mapping
from typing import Any

from benchmarking import machine
from benchmarking.growth import Amount, Lines, Subject, by_batch, by_classes, by_layer, by_size
from benchmarking.measuring import arguments, positive, sized_network, write_json

from gradcam.terminal import quiet_tensorflow, run_script

with quiet_tensorflow():
    import tensorflow
    from benchmarking.charts import Growth, growths

    import slim_models
    from gradcam.figures import save_figure

FULL = Amount()
QUICK = Amount(sizes=(112, 224), seconds=0.1, least=3)
TITLES = {
    "batch": ("batch", "pictures a run", "ms a picture"),
    "size": ("size of the picture", "megapixels", "ms"),
    "classes": ("classes of one picture", "classes", "ms, all classes together"),
    "layer": ("depth of the layer", "layer", "ms"),
}


def main(argv: list[str] | None = None) -> pathlib.Path:
    args = _parser().parse_args(argv)
    amount = QUICK if args.quick else FULL
    amount = dataclasses.replace(amount, sizes=args.sizes or amount.sizes)
    subject = Subject(*sized_network(args.network, args.weights), args.precision, amount)
    measures: dict[str, Callable[[], Lines]] = {
        "batch": lambda: by_batch(subject),
        "size": lambda: by_size(subject, args.network, args.weights),
        "classes": lambda: by_classes(subject),
        "layer": lambda: by_layer(subject),
    }
    panels = {}
    for name, measure in measures.items():
        print(f"growth with the {TITLES[name][0]}", file=sys.stderr, flush=True)
        panels[name] = measure()
    size = " x ".join(map(str, subject.network.image_size))
    out = args.out / f"growth_{args.network}.png"
    save_figure(drawn(panels, f"{args.network}, {size}, {args.precision}: medians and quartiles"), out)
    about = {"network": args.network, "precision": args.precision, "image_size": subject.network.image_size}
    versions = {"tensorflow": tensorflow.__version__, "machine": machine.describe()}
    numbers = args.json or out.with_suffix(".json")
    write_json({**about, **versions, "panels": panels}, numbers)
    print(out, numbers, sep="\n")
    return out


def _parser() -> argparse.ArgumentParser:
    parser = arguments(__doc__)
    precisions = slim_models.PRECISIONS
    parser.add_argument("--precision", choices=precisions, default=precisions[0], help="default: %(default)s")
    parser.add_argument("--out", type=pathlib.Path, default="out", metavar="DIR", help="default: %(default)s")
    parser.add_argument("--json", type=pathlib.Path, metavar="FILE", help="the numbers (default: beside the figure)")
    sizes = f"heights of pictures (default: {' '.join(map(str, FULL.sizes))})"
    parser.add_argument("--sizes", nargs="+", type=positive, metavar="PIXELS", help=sizes)
    parser.add_argument("--quick", action="store_true", help="few runs and sizes")
    return parser


def drawn(panels: Mapping[str, Lines], title: str) -> Any:
    """The figure of what was measured."""

    def curve(points: list[dict[str, Any]]) -> list[tuple[float | str, float, float, float]]:
        return [(point["x"], point["median"], point["low"], point["high"]) for point in points]

    found = []
    for name, lines in panels.items():
        curves = {line: curve(points) for line, points in lines.items()}
        found.append(Growth(*TITLES[name], curves, doubling=name == "batch"))
    return growths(found, title)


if __name__ == "__main__":
    run_script("benchmark_growth", main)
