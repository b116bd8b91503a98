"""By how much each method is above another one, picture by picture, from the journal of a run over a data set.

    python scripts/paired_differences.py out/faithfulness.0a1b2c3d.jsonl --to grad_cam --metric deletion insertion

`gradcam evaluate`, and the scripts that reproduce tables, leave the journal beside their tables. All methods are
measured on the same pictures, some of which are hard for each of them, so that the difference of two is surer than
their own intervals let think. Where the number is positive the row's method has more, which by some metrics is worse.
"""

from __future__ import annotations

import argparse
import math
import pathlib

from gradcam.evaluation import in_columns, pairing, read_journal
from gradcam.terminal import run_script
from slim_models.mistakes import BadValue, check_name


def main(argv: list[str] | None = None) -> str:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("journal", type=pathlib.Path, metavar="RUN.jsonl")
    parser.add_argument(
        "--to", default="grad_cam", metavar="METHOD", help="that others are compared to (default: %(default)s)"
    )
    parser.add_argument("--metric", nargs="+", metavar="NAME", help="default: all that the journal has")
    args = parser.parse_args(argv)
    rows = list(read_journal(args.journal).rows)
    if not rows:
        raise BadValue(f"{args.journal} has no rows yet")
    text = "\n\n".join(compared(rows, metric, args.to) for metric in args.metric or pairing.metrics_of(rows))
    print(text)
    return text


def compared(rows: list[pairing.Row], metric: str, to: str) -> str:
    """A line a method: the mean of its differences, the 95 % interval, standard errors, pictures."""
    methods = pairing.by_method(rows, metric)
    check_name("method", to, methods)
    lines = [(f"{metric}, less that of {to}", "mean [95 % interval]", "standard errors", "pictures")]
    for name, values in methods.items():
        if name != to:
            found, errors = pairing.difference(values, methods[to])
            lines.append((name, found.text(4), "" if math.isnan(errors) else f"{errors:+.1f}", f"{found.count:,}"))
    return in_columns(lines)


if __name__ == "__main__":
    run_script("paired_differences", main)
