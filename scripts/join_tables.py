"""Joins tables of several networks into one of Markdown, as docs/RESULTS.md has them.

    python scripts/join_tables.py out/table1_resnet.json out/table1_vgg.json

Each file is what a run over a data set wrote (`gradcam evaluate`, or a script that reproduces a table). Every table of
the first file is printed with the columns of all; a cell is the number and half the width of its 95 % interval, and a
column says of how many pictures it is.
"""

from __future__ import annotations

import argparse
import json
import pathlib
from collections.abc import Sequence
from typing import Any

from gradcam.evaluation import Estimate, Table, columns_of, counts_of
from gradcam.terminal import run_script
from slim_models.mistakes import BadValue


def main(argv: list[str] | None = None) -> str:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="+", type=pathlib.Path, metavar="RUN.json", help="in the order of the columns")
    parser.add_argument("--names", nargs="+", metavar="NAME", help="of the networks (default: as the runs call them)")
    args = parser.parse_args(argv)
    runs = [json.loads(path.read_text(encoding="utf-8")) for path in args.runs]
    names = args.names or [run["protocol"]["network"] for run in runs]
    if len(names) != len(runs):
        raise BadValue(f"{len(names)} --names are given of {len(runs)} runs")
    titles = dict.fromkeys(cell["table"] for cell in runs[0]["cells"])
    text = "\n\n".join(f"{title}:\n\n{joined(title, dict(zip(names, runs)))}" for title in titles)
    print(text)
    return text


def joined(title: str, runs: dict[str, dict[str, Any]]) -> str:
    """The table of that title in Markdown, of all runs; empty cells where a run has no such row.

    Args:
        title: of a table that the first run has.
        runs: name of the network -> what its run wrote.
    """
    tables = {name: table_of(run["cells"], title) for name, run in runs.items()}
    rows = dict.fromkeys(row for table in tables.values() for row in table)
    columns = [(name, column) for name, table in tables.items() for column in columns_of(table)]
    heading = ["", *(f"{name}: {column}, {counts_of(tables[name], column)}" for name, column in columns)]
    cells = [cell for table in tables.values() for row in table.values() for cell in row.values()]
    digits = 1 if max(abs(cell.value) for cell in cells) > 1 else 3  # per cent, or correlations
    lines = [[row, *(shown(tables[name].get(row, {}).get(column), digits) for name, column in columns)] for row in rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in (heading, ["---"] * len(heading), *lines))


def table_of(cells: Sequence[dict[str, Any]], title: str) -> Table:
    """One of the tables that a run wrote as a list of cells."""
    found: dict[str, dict[str, Estimate]] = {}
    for cell in cells:
        if cell["table"] == title:
            numbers = {key: cell[key] for key in ("value", "low", "high", "count")}
            found.setdefault(cell["row"], {})[cell["column"]] = Estimate(**numbers)
    return found


def shown(cell: Estimate | None, digits: int) -> str:
    """A number and half the width of its interval; empty if there is none."""
    return "" if cell is None else f"{cell.value:.{digits}f} ± {(cell.high - cell.low) / 2:.{digits}f}"


if __name__ == "__main__":
    run_script("join_tables", main)
