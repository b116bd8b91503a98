"""Charts of numbers: tables with their uncertainty, and the curves of a sanity check."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from gradcam.evaluation.estimates import INTERVALS, Table, columns_of, counts_of
from gradcam.evaluation.metrics import MEASURES
from gradcam.figures import blank

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Okabe & Ito's colours, which the colour-blind tell apart, and a marker each for print without colour.
COLOURS = ("#000000", "#D55E00", "#0072B2", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
SERIES = [(COLOURS[2], "o"), (COLOURS[1], "s"), (COLOURS[3], "^"), (COLOURS[4], "D")]
# Markers and dashes tell methods apart without colours.
_MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
_DASHES = ("-", "--", "-.", ":")


def intervals(tables: Mapping[str, Table], unit: str, title: str) -> Figure:
    """Tables as dots with 95 % intervals: a panel a table, on one scale, a line a row, a colour a column.

    The legends say of how many pictures each column is.

    Args:
        tables: by title.
        unit: of the numbers.
        title: of the whole figure.

    Returns:
        A figure that belongs to no window.
    """
    lengths = [len(table) for table in tables.values()]
    figure = blank((6.5, 0.24 * sum(lengths) + 1.05 * len(tables) + 0.6))
    axes = figure.subplots(len(tables), 1, sharex=True, squeeze=False, gridspec_kw={"height_ratios": lengths})[:, 0]
    for (heading, table), axis in zip(tables.items(), axes):
        columns = columns_of(table)
        for number, column in enumerate(columns):
            colour, marker = SERIES[number % len(SERIES)]
            lines = [i for i, cells in enumerate(table.values()) if column in cells]
            cells = [cells[column] for cells in table.values() if column in cells]
            values = np.array([[cell.value, cell.low, cell.high] for cell in cells])
            offset = 0.16 * (number - (len(columns) - 1) / 2)
            errors = np.abs(values[:, 1:] - values[:, :1]).T
            look = {"fmt": marker, "color": colour, "ms": 4, "lw": 1}
            label = f"{column} ({counts_of(table, column)})"
            axis.errorbar(values[:, 0], np.array(lines) + offset, xerr=errors, label=label, **look)
        axis.set_yticks(range(len(table)), list(table), fontsize=8)
        axis.set_ylim(len(table) - 0.5, -0.5)  # downwards
        axis.grid(axis="x", lw=0.4, alpha=0.6)
        axis.tick_params(axis="x", labelsize=8)
        axis.set_title(f"{heading}, {unit}", fontsize=9, loc="left", pad=18)  # above the legend, which may be as wide
        axis.legend(fontsize=7, ncols=len(columns), frameon=False, loc="lower left", bbox_to_anchor=(0, 1))
    figure.suptitle(title, fontsize=10)
    figure.supxlabel(f"Marks: shares or means over the pictures. Lines: {INTERVALS}.".replace(". ", ".\n"), fontsize=7)
    return figure


def similarity_curves(rows: Sequence[Mapping[str, Any]], titles: Mapping[str, str], title: str) -> Figure:
    """A row of panels for each kind of randomisation, a panel for each measure, a curve for each method.

    Args:
        rows: of `sanity.randomization_test`, and of `sanity.unrelated` for the marks at the right.
        titles: method -> its name in the legend; the methods are drawn in this order.
        title: of the figure.

    Returns:
        A figure of the width of a page that belongs to no window.
    """
    kinds = list(dict.fromkeys(row["kind"] for row in rows if row["kind"] != "unrelated"))
    figure = blank((7.5, 0.9 + 2.75 * len(kinds)))
    axes = figure.subplots(len(kinds), len(MEASURES), sharey=True, squeeze=False)
    for kind, row_axes in zip(kinds, axes):
        for measure, axis in zip(MEASURES, row_axes):
            _panel(axis, rows, kind, measure, titles)
        row_axes[0].set_ylabel(f"{kind}\nlikeness to the trained network's maps", fontsize=8)
    for measure, axis in zip(MEASURES.values(), axes[0]):
        axis.set_title(measure, fontsize=9)
    handles, names = axes[0, 0].get_legend_handles_labels()
    figure.legend(handles, names, loc="outside lower center", ncols=4, fontsize=8, frameon=False, handlelength=3.5)
    figure.suptitle(title, fontsize=10)
    return figure


def _panel(axis: Any, rows: Sequence[Mapping[str, Any]], kind: str, measure: str, titles: Mapping[str, str]) -> None:
    layers = list(dict.fromkeys(row["layer"] for row in rows if row["kind"] == kind))
    for number, (method, name) in enumerate(titles.items()):
        of_method = [row for row in rows if row["method"] == method]
        look = {
            "color": COLOURS[number % len(COLOURS)],
            "marker": _MARKERS[number % len(_MARKERS)],
            "linewidth": 1.0,
            "markersize": 3.5,
        }
        curve = [1.0, *(row[measure] for row in of_method if row["kind"] == kind)]
        axis.plot(range(len(curve)), curve, linestyle=_DASHES[number % len(_DASHES)], label=name, **look)
        alike = [row[measure] for row in of_method if row["kind"] == "unrelated"]
        axis.plot([len(layers) + 2] * len(alike), alike, linestyle="none", **look)
    axis.axvline(len(layers) + 1, color="0.6", linewidth=0.6)
    axis.axhline(0, color="0.6", linewidth=0.6)
    ticks = ["trained", *layers, "", "other pictures"]
    axis.set_xticks([x for x, tick in enumerate(ticks) if tick], [tick for tick in ticks if tick], rotation=90)
    axis.tick_params(labelsize=6.5)
    axis.grid(axis="y", linewidth=0.3)
