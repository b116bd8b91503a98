"""Means over a data set with their uncertainty, in tables."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np

from gradcam.evaluation.metrics import bootstrap_interval


@dataclasses.dataclass(frozen=True)
class Estimate:
    """A mean and its 95 % bootstrap interval.

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


def estimate(values: Sequence[float] | np.ndarray, scale: float = 1.0) -> Estimate:
    """The mean of values, one a picture; those that are NaN, as of a constant map, do not count.

    Args:
        values: `[M]`.
        scale: of the result: 100 for per cent.
    """
    array = np.asarray(values, np.float64)
    array = scale * array[np.isfinite(array)]
    low, high = bootstrap_interval(array)
    return Estimate(float(array.mean()) if len(array) else float("nan"), low, high, len(array))


Table = Mapping[str, Mapping[str, Estimate]]  # row -> column -> estimate; not all rows have all columns


def columns_of(table: Table) -> list[str]:
    """The columns that any row has, in order of appearance."""
    return list(dict.fromkeys(column for row in table.values() for column in row))


def as_text(table: Table, digits: int = 2) -> str:
    """The table for a terminal, with so many digits after the point."""
    columns = columns_of(table)
    lines = [["", *columns]]
    for row, cells in table.items():
        lines.append([row, *(cells[column].text(digits) if column in cells else "" for column in columns)])
    widths = [max(len(line[i]) for line in lines) for i in range(len(columns) + 1)]
    return "\n".join("  ".join(cell.ljust(width) for cell, width in zip(line, widths)).rstrip() for line in lines)


def as_rows(table: Table) -> list[dict[str, str | float | int]]:
    """The table's cells, one a row, as CSV and JSON have them."""
    return [
        {"row": row, "column": column, **dataclasses.asdict(cell)}
        for row, cells in table.items()
        for column, cell in cells.items()
    ]
