"""What the scripts of tables share: a network over a data set, resumable, and the table it comes to."""

from __future__ import annotations

import argparse
import csv
import dataclasses
import hashlib
import json
import pathlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import reproduction

from slim_models.mistakes import BadValue

with reproduction.quiet_tensorflow():
    import tensorflow

    from gradcam.evaluation import (
        Journal,
        Measure,
        Row,
        Table,
        as_rows,
        as_text,
        charts,
        evaluate,
        fingerprint,
        require_boxes,
    )
    from gradcam.evaluation.datasets import read_examples
    from gradcam.explainer import Explainer
    from gradcam.methods import SMOOTH, MapMethod, linear_head, map_methods, needs
    from slim_models.files import whole_file


def arguments(documentation: str | None, out: str, methods: Sequence[str]) -> argparse.ArgumentParser:
    """A parser with the flags of a run over a data set.

    Args:
        documentation: of the script.
        out: the figure's default name.
        methods: names of `map_methods` that are compared by default; `cam` where the network allows it.
    """
    parser = reproduction.arguments(documentation, reproduction.RESNET, out)
    parser.add_argument(
        "--data",
        default="samples",
        metavar="DATA",
        help="samples (default), Tiny ImageNet's folder or zip, ILSVRC's validation pictures, or a CSV file of path, "
        "class and boxes",
    )
    parser.add_argument(
        "--annotations", metavar="PATH", help="ILSVRC's XML folder or list of boxes, if it lies elsewhere"
    )
    parser.add_argument("--labels", metavar="FILE", help="ILSVRC's list of classes, for pictures without XML")
    parser.add_argument("--limit", type=int, metavar="N", help="only the first N pictures")
    parser.add_argument("--batch", type=int, default=25, metavar="N", help="pictures a run (default: %(default)s)")
    parser.add_argument("--layer", metavar="NAME", help="of the maps (default: the network's last)")
    parser.add_argument(
        "--fit",
        choices=("stretch", "crop"),
        default="stretch",
        help="how a picture becomes square (default: %(default)s)",
    )
    parser.add_argument("--methods", nargs="+", metavar="NAME", help=f"default: {' '.join(methods)}")
    parser.add_argument(
        "--smooth",
        type=float,
        default=SMOOTH,
        metavar="SHARE",
        help="of the height, by which the absolute values of saliency are blurred (default: %(default)s)",
    )
    parser.add_argument("--fresh", action="store_true", help="do not go on with a run that was interrupted")
    parser.set_defaults(default_methods=list(methods))
    return parser


@dataclasses.dataclass(frozen=True, eq=False)
class Run:
    """A finished run over a data set.

    Attributes:
        network: name of the network.
        rows: one a picture.
        methods: what was compared.
        protocol: everything that the numbers depend on.
    """

    network: str
    rows: Sequence[Row]
    methods: Mapping[str, MapMethod]
    protocol: Mapping[str, Any]

    @property
    def title(self) -> str:
        """Network, data and number of pictures in one line."""
        return f"{self.network}, {self.protocol['data']}: {len(self.rows):,} pictures"


def run(
    args: argparse.Namespace,
    measure_for: Callable[[Mapping[str, MapMethod]], Measure],
    *,
    needs_boxes: bool = True,
    **protocol: Any,
) -> Run:
    """Measures every picture of `--data` that no earlier, interrupted run has measured.

    Args:
        args: of a parser of `arguments`.
        measure_for: the methods -> what is measured.
        needs_boxes: whether every picture must have a true box.
        protocol: the script's own choices, which the rows depend on.
    """
    if args.limit is not None and args.limit < 1:
        raise BadValue(f"--limit must be at least 1, not {args.limit}")
    network = reproduction.open_network(args.network, args.weights)
    weights = network.values.arrays()
    behind = weights or {} if args.layer in (None, network.default_layer) else {}  # what CAM looks for a linear head in
    names = args.methods or [name for name in args.default_methods if name != "cam" or linear_head(behind) is not None]
    methods = map_methods(names, behind, args.smooth)
    measure = measure_for(methods)
    examples = read_examples(args.data, annotations=args.annotations, labels=args.labels)[: args.limit]
    if needs_boxes:
        require_boxes(examples)
    layers = [args.layer] if args.layer else None
    protocol = {
        "network": args.network,
        "weights": _digest(_stamps(args.network)) if weights is None else fingerprint(weights),
        "tensorflow": tensorflow.__version__,
        "data": pathlib.Path(args.data).name,
        "pictures": _digest([(example.name, str(example.target), example.boxes) for example in examples]),
        "layer": args.layer or network.default_layer,
        "methods": list(methods),
        "fit": args.fit,
        "smooth": args.smooth,
        "batch": args.batch,
        **protocol,
    }
    with Explainer(network, layers=layers, **needs(methods)) as explainer:
        journal = Journal(args.out.with_suffix(f".{_digest(protocol)}.jsonl"), protocol, fresh=args.fresh)
        if journal.rows:
            print(f"{len(journal.rows)} of {len(examples)} pictures are in {journal.path}; --fresh measures them again")
        rows = evaluate(explainer, examples, measure, journal, batch=args.batch, fit=args.fit)
    return Run(args.network, rows, methods, protocol)


def _stamps(path: str) -> list[tuple[str, int, int]]:
    """Size and time of every file of a network of the user's: what tells it from another."""
    place = pathlib.Path(path)
    files = sorted(place.rglob("*")) if place.is_dir() else sorted(place.parent.glob(f"{place.name}*"))
    return [(file.name, file.stat().st_size, file.stat().st_mtime_ns) for file in files]


def write(
    run: Run, tables: Mapping[str, Table], out: pathlib.Path, unit: str, remarks: Sequence[str], digits: int = 2
) -> pathlib.Path:
    """Prints tables and writes them as a figure, as CSV and as JSON.

    Args:
        run: whose tables they are.
        tables: by title.
        out: the figure's name; the others differ in their suffix.
        unit: of the numbers.
        remarks: printed below, such as the script's protocol.
        digits: printed after the point.

    Returns:
        The figure's name.
    """
    saliency = f"saliency: largest absolute value of the channels, blurred by {run.protocol['smooth']:g} of the height"
    remarks = [*remarks[:1], f"pictures made square by: {run.protocol['fit']}; {saliency}", *remarks[1:]]
    print(run.title)
    for title, table in tables.items():
        print(f"\n{title}, {unit} [95 % bootstrap interval]")
        print(as_text(table, digits))
    for remark in remarks:
        print(f"\n{remark}")
    cells = [{"table": title, **cell} for title, table in tables.items() for cell in as_rows(table)]
    with whole_file(out.with_suffix(".csv")) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(cells[0]))
        writer.writeheader()
        writer.writerows(cells)
    print(f"\n{out.with_suffix('.csv')}")
    numbers = {"protocol": run.protocol, "pictures": len(run.rows), "remarks": list(remarks), "cells": cells}
    return reproduction.write(charts.intervals(tables, unit, run.title), numbers, out)


def _digest(value: Any) -> str:
    """Eight digits that tell one run from another."""
    return hashlib.sha256(json.dumps(value).encode()).hexdigest()[:8]
