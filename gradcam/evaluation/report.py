"""What a run comes to: tables printed, drawn with their intervals, and written as CSV and JSON."""

from __future__ import annotations

import csv
import pathlib
from collections.abc import Callable, Sequence

from gradcam.evaluation import charts
from gradcam.evaluation.estimates import INTERVALS, as_rows, as_text, counts_of
from gradcam.evaluation.running import Run
from gradcam.figures import write_figure
from slim_models.files import whole_file


def write_run(
    run: Run, out: pathlib.Path, remarks: Sequence[str] = (), say: Callable[[str], object] | None = None
) -> pathlib.Path:
    """Writes a run's tables as a figure, as CSV and as JSON.

    Args:
        run: finished.
        out: the figure's name; the others differ in their suffix.
        remarks: what is said below the tables, beside the protocol, such as published numbers.
        say: is told the tables, the remarks and the files' names; None is silent.

    Returns:
        The figure's name.
    """
    say = say or (lambda line: None)
    smooth = f"blurred by {run.protocol['smooth']:g} of the height"
    made = f"pictures made square by: {run.protocol['fit']}; saliency: largest absolute value of the channels, {smooth}"
    said = [run.measure.remark(), made, INTERVALS, *remarks]
    tables, unit = run.tables(), run.measure.unit
    say(run.title)
    for title, table in tables.items():
        say(f"\n{title}, {unit} [95 % interval], {counts_of(table)}")
        say(as_text(table, run.measure.digits))
    for remark in said:
        say(f"\n{remark}")
    cells = [{"table": title, **cell} for title, table in tables.items() for cell in as_rows(table)]
    path = out.with_suffix(".csv")
    with whole_file(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(cells[0]))
        writer.writeheader()
        writer.writerows(cells)
    say(f"\n{path}")
    numbers = {"protocol": run.protocol, "pictures": len(run.rows), "remarks": said, "cells": cells}
    figure = charts.intervals(tables, unit, run.title, one_scale=run.measure.one_scale)
    return write_figure(figure, numbers, out, say=say)
