"""Charts of numbers with their uncertainty."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from gradcam.estimates import Table, columns_of
from gradcam.figures import Figure

# Okabe & Ito's colours, which the colour-blind tell apart, and a marker each for print without colour.
COLOURS = ("#000000", "#D55E00", "#0072B2", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
SERIES = [(COLOURS[2], "o"), (COLOURS[1], "s"), (COLOURS[3], "^"), (COLOURS[4], "D")]


def intervals(tables: Mapping[str, Table], unit: str, title: str) -> Figure:
    """Tables as dots with 95 % intervals: a panel a table, a line a row, a colour a column.

    Args:
        tables: by title.
        unit: of the numbers.
        title: of the whole figure.

    Returns:
        A figure that belongs to no window.
    """
    lengths = [len(table) for table in tables.values()]
    figure = Figure(figsize=(6.5, 0.24 * sum(lengths) + 0.85 * len(tables) + 0.4), layout="constrained")
    axes = figure.subplots(len(tables), 1, squeeze=False, gridspec_kw={"height_ratios": lengths})[:, 0]
    for (heading, table), axis in zip(tables.items(), axes):
        columns = columns_of(table)
        for number, column in enumerate(columns):
            colour, marker = SERIES[number % len(SERIES)]
            lines = [i for i, cells in enumerate(table.values()) if column in cells]
            cells = [cells[column] for cells in table.values() if column in cells]
            values = np.array([[cell.value, cell.low, cell.high] for cell in cells])
            offset = 0.16 * (number - (len(columns) - 1) / 2)
            errors = np.abs(values[:, 1:] - values[:, :1]).T
            axis.errorbar(
                values[:, 0], np.array(lines) + offset, xerr=errors, fmt=marker, color=colour, ms=4, lw=1, label=column
            )
        axis.set_yticks(range(len(table)), list(table), fontsize=8)
        axis.set_ylim(len(table) - 0.5, -0.5)  # downwards
        axis.grid(axis="x", lw=0.4, alpha=0.6)
        axis.tick_params(axis="x", labelsize=8)
        axis.set_title(f"{heading}, {unit}", fontsize=9, loc="left")
        axis.legend(fontsize=7, ncols=len(columns), frameon=False, loc="lower right", bbox_to_anchor=(1, 1))
    figure.suptitle(title, fontsize=10)
    return figure
