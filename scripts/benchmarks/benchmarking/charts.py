"""Curves of what grows and what it costs."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from gradcam.evaluation import SERIES


@dataclasses.dataclass(frozen=True)
class Growth:
    """A panel of `growths`.

    Attributes:
        title: of the panel.
        xlabel: what grows, with its unit.
        ylabel: what it costs, with its unit.
        curves: by name, points `(x, middle, low, high)`; x is a number or, in all points, a word.
        doubling: whether the axis of x is logarithmic, with a mark at every x.
    """

    title: str
    xlabel: str
    ylabel: str
    curves: Mapping[str, Sequence[tuple[float | str, float, float, float]]]
    doubling: bool = False


def growths(panels: Sequence[Growth], title: str) -> Figure:
    """Curves with bands, two panels a row, of a page's width.

    Args:
        panels: in the order of reading.
        title: of the whole figure.

    Returns:
        A figure that belongs to no window.
    """
    rows = -(-len(panels) // 2)
    figure = Figure(figsize=(7.0, 2.7 * rows + 0.3), layout="constrained")
    axes = list(figure.subplots(rows, 2, squeeze=False).flat)
    for panel, axis in zip(panels, axes):
        for (name, points), (colour, marker) in zip(panel.curves.items(), SERIES):
            xs = [point[0] for point in points]
            middle, low, high = np.array([point[1:] for point in points]).T
            axis.plot(xs, middle, color=colour, marker=marker, ms=4, lw=1, label=name)
            axis.fill_between(xs, low, high, color=colour, alpha=0.25, lw=0)
        _finish(axis, panel)
    for axis in axes[len(panels) :]:
        axis.set_axis_off()
    figure.suptitle(title, fontsize=10)
    return figure


def _finish(axis: Any, panel: Growth) -> None:
    xs = [point[0] for points in panel.curves.values() for point in points]
    if panel.doubling:
        axis.set_xscale("log", base=2)
        axis.set_xticks(xs, [str(x) for x in xs], minor=False)
    axis.tick_params(labelsize=8)
    if any(isinstance(x, str) for x in xs):
        axis.tick_params(axis="x", labelsize=7, rotation=25)
    count = len(panel.curves)
    top = max(max(point[1:]) for points in panel.curves.values() for point in points)
    # From 0, so that twice as high is twice the cost; and with room for the names at the top.
    axis.set_ylim(0, top * (1.1 if count == 1 else 1.1 + 0.1 * count))
    axis.set_title(panel.title, fontsize=9, loc="left")
    axis.set_xlabel(panel.xlabel, fontsize=8)
    axis.set_ylabel(panel.ylabel, fontsize=8)
    axis.grid(lw=0.4, alpha=0.6)
    if count > 1:
        axis.legend(fontsize=7, frameon=False, loc="upper left")
