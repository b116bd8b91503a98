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
_DASHES = ("-", "--", "-.", ":")  # they tell curves apart without colours


def intervals(tables: Mapping[str, Table], unit: str, title: str, *, one_scale: bool = True) -> Figure:
    """Tables as dots with 95 % intervals: a panel a table, a line a row, a colour a column.

    The legends say of how many pictures each column is.

    Args:
        tables: by title.
        unit: of the numbers.
        title: of the whole figure.
        one_scale: whether all panels have the same one.

    Returns:
        A figure that belongs to no window.
    """
    lengths = [len(table) for table in tables.values()]
    figure = blank((6.5, 0.24 * sum(lengths) + 1.05 * len(tables) + 0.6))
    ratios = {"height_ratios": lengths}
    axes = figure.subplots(len(tables), 1, sharex=one_scale, squeeze=False, gridspec_kw=ratios)[:, 0]
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


def similarity_curves(rows: Sequence[Mapping[str, Any]], titles: Mapping[str, str], title: str, about: str) -> Figure:
    """A row of panels for each method, a panel for each measure, a curve with its spread for each randomisation.

    Args:
        rows: of `sanity.randomization_test`, and of `sanity.unrelated` for what no likeness is.
        titles: method -> its name; the methods are drawn in this order.
        title: of the figure.
        about: a sentence below it: of which network, weights and layer it is.

    Returns:
        A figure of the width of a page, on one scale, that belongs to no window.
    """
    figure = blank((7.5, 1.8 + 0.85 * len(titles)))
    top, bottom = figure.subfigures(2, 1, height_ratios=[1.2 + 0.85 * len(titles), 0.6], squeeze=False)[:, 0]
    axes = top.subplots(len(titles), len(MEASURES), sharex=True, sharey=True, squeeze=False)
    for (method, name), row_axes in zip(titles.items(), axes):
        of_method = [row for row in rows if row["method"] == method]
        for measure, axis in zip(MEASURES, row_axes):
            _panel(axis, of_method, measure)
        row_axes[0].set_ylabel(name.replace(" ", "\n"), fontsize=8)
    for measure, axis in zip(MEASURES.values(), axes[0]):
        axis.set_title(measure, fontsize=9)
    handles, names = axes[0, 0].get_legend_handles_labels()
    bottom.legend(handles, names, loc="upper center", ncols=len(names), fontsize=8, frameon=False, handlelength=3)
    top.suptitle(title, fontsize=10)
    pictures = max(len(row["pictures"][measure]) for row in rows for measure in MEASURES if row["kind"] != "unrelated")
    lines = f"Lines: means of n = {pictures} pictures, less blank maps. Bands: from the least to the most alike."
    bottom.supxlabel(f"{lines} Layers: random from the logits down to there, or there alone.\n{about}", fontsize=7)
    return figure


def _panel(axis: Any, rows: Sequence[Mapping[str, Any]], measure: str) -> None:
    """The curves of one method and measure."""
    for row in rows:
        if row["kind"] == "unrelated":
            low, high = _spread(row["pictures"][measure])
            axis.axhspan(low, high, color="0.88", linewidth=0)
            axis.axhline(row[measure], color="0.55", linewidth=0.8, label="maps of different pictures")
    layers: list[str] = []
    for number, kind in enumerate(dict.fromkeys(row["kind"] for row in rows if row["kind"] != "unrelated")):
        of_kind = [row for row in rows if row["kind"] == kind]
        layers = [row["layer"] for row in of_kind]
        colour, marker = SERIES[number % len(SERIES)]
        look = {"color": colour, "marker": marker, "linewidth": 1.0, "markersize": 2.5}
        curve = [1.0, *(row[measure] for row in of_kind)]
        spread = np.array([(1.0, 1.0), *(_spread(row["pictures"][measure]) for row in of_kind)])
        axis.fill_between(range(len(curve)), *spread.T, color=colour, alpha=0.2, linewidth=0)
        axis.plot(range(len(curve)), curve, linestyle=_DASHES[number % len(_DASHES)], label=kind, **look)
    axis.axhline(0, color="0.6", linewidth=0.6)
    axis.set_xticks(range(len(layers) + 1), ["trained", *layers], rotation=90)
    axis.tick_params(labelsize=6)
    axis.grid(axis="y", linewidth=0.3)


def _spread(values: Sequence[float]) -> tuple[float, float]:
    """The smallest and the largest of the values that there are; NaN twice if there are none."""
    known = [value for value in values if not np.isnan(value)]
    return (min(known), max(known)) if known else (float("nan"), float("nan"))
