"""Shares and means over a data set with their uncertainty, in tables."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np

from gradcam.evaluation.metrics import mean_interval, share_interval

INTERVALS = (
    "95 % intervals, of shares Wilson's, of means Gaffke's, which hold for few pictures too, or Student's of what has "
    "no bound"
)


@dataclasses.dataclass(frozen=True)
class Estimate:
    """A share or mean and its 95 % interval.

    Attributes:
        value: the mean.
        low: of the interval.
        high: of the interval.
        count: of the values it is the mean of.
    """

    value: float
    low: float
    high: float
    count: int

    def text(self, digits: int = 2) -> str:
        """Such as `47.70 [46.72, 48.68]`."""
        return f"{self.value:.{digits}f} [{self.low:.{digits}f}, {self.high:.{digits}f}]"


def estimate(
    values: Sequence[float] | np.ndarray, scale: float = 1.0, bounds: tuple[float, float] = (0.0, 1.0)
) -> Estimate:
    """The mean of values, one a picture; those that are NaN, as of a constant map, do not count.

    Args:
        values: `[M]`; of truth values it is the share that is true, with `metrics.share_interval`, of numbers the mean,
            with `metrics.mean_interval`.
        scale: of the result: 100 for per cent.
        bounds: of the numbers.
    """
    array = np.asarray(values)
    if array.dtype == bool:
        low, high = share_interval(int(array.sum()), len(array))
    else:
        array = array[np.isfinite(array)]
        low, high = mean_interval(array, bounds)
    return Estimate(scale * float(array.mean()) if len(array) else float("nan"), scale * low, scale * high, len(array))


def estimate_of_classes(hits: np.ndarray, classes: Sequence[str], scale: float = 1.0) -> Estimate:
    """The mean over classes of the shares of each, in which a class of few pictures counts as one of many.

    Args:
        hits: bool `[M]`, one a picture.
        classes: `[M]`.
        scale: of the result: 100 for per cent.

    Returns:
        With Wilson's interval of as many pictures, all counting alike, as would have the same variance (Kish 1965):
        1 / sum w^2 of weights w that add up to 1.
    """
    if not len(hits):
        return estimate(np.asarray(hits, bool), scale)
    _, number, counts = np.unique(np.asarray(classes), return_inverse=True, return_counts=True)
    weights = 1 / (len(counts) * counts[number.ravel()])
    mean, effective = float(weights[hits].sum()), float(1 / (weights**2).sum())
    low, high = share_interval(round(mean * effective, 9), round(effective, 9))
    return Estimate(scale * mean, scale * low, scale * high, len(hits))


Table = Mapping[str, Mapping[str, Estimate]]  # row -> column -> estimate; not all rows have all columns


def columns_of(table: Table) -> list[str]:
    """The columns that any row has, in order of appearance."""
    return list(dict.fromkeys(column for row in table.values() for column in row))


def counts_of(table: Table, column: str | None = None) -> str:
    """Of how many values the cells are, or those of one column: `n = 10,000`, or `n = 9,893 to 10,000`."""
    counts = {cell.count for cells in table.values() for name, cell in cells.items() if column in (None, name)}
    fewest, most = min(counts), max(counts)
    return f"n = {fewest:,}" if fewest == most else f"n = {fewest:,} to {most:,}"


def as_text(table: Table, digits: int = 2) -> str:
    """The table for a terminal, with so many digits after the point; of how many values, where cells differ in it."""
    columns = columns_of(table)
    differ = len({cell.count for cells in table.values() for cell in cells.values()}) > 1

    def text(cell: Estimate) -> str:
        return cell.text(digits) + (f" n = {cell.count:,}" if differ else "")

    lines = [["", *columns]]
    for row, cells in table.items():
        lines.append([row, *(text(cells[column]) if column in cells else "" for column in columns)])
    return in_columns(lines)


def in_columns(lines: Sequence[Sequence[str]]) -> str:
    """Lines of as many cells each, one below the other."""
    widths = [max(map(len, column)) for column in zip(*lines)]
    return "\n".join("  ".join(cell.ljust(width) for cell, width in zip(line, widths)).rstrip() for line in lines)


def as_rows(table: Table) -> list[dict[str, str | float | int]]:
    """The table's cells, one a row, as CSV and JSON have them."""
    return [
        {"row": row, "column": column, **dataclasses.asdict(cell)}
        for row, cells in table.items()
        for column, cell in cells.items()
    ]
