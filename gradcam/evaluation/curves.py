"""Curves of a sanity check: likeness of maps against the depth down to which a network is random."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from gradcam.charts import COLOURS
from gradcam.figures import Figure
from gradcam.similarity import MEASURES

# Markers and dashes tell methods apart without colours.
_MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
_DASHES = ("-", "--", "-.", ":")


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
    figure = Figure(figsize=(7.5, 0.9 + 2.75 * len(kinds)), layout="constrained")
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
