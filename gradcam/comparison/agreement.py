"""How well arrays of a reference and ours agree: a row for each, and the table of them."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from gradcam.comparison.decisions import Tie

# Decisions that fall the other way can make any gradient differ, but what is no more alike than that is not searched.
MOST_BY_TIES = 0.5
HEADER = "array                  picture  class   rel. L2   of peak  correlation tolerance"


@dataclasses.dataclass(frozen=True, eq=False)
class Agreement:
    """One array, of one picture and class, theirs and ours.

    Attributes:
        array: its name in the reference.
        picture: number of the picture.
        target: the class, or None where the array has none.
        theirs: the reference, in our layout.
        ours: of the same shape.
        tolerance: greatest relative L2 difference that passes.
        turned: ours with the ties turned that explain the difference; None where nothing was to explain.
    """

    array: str
    picture: int
    target: int | None
    theirs: np.ndarray
    ours: np.ndarray
    tolerance: float
    turned: np.ndarray | None = None

    @property
    def relative_l2(self) -> float:
        """|ours - theirs| / |theirs|, Euclidean norms; infinite where theirs is zero and ours is not."""
        return relative_l2(self.ours, self.theirs)

    @property
    def peak_difference(self) -> float:
        """Largest difference, over the largest absolute value of theirs."""
        return _over(np.abs(_wide(self.ours) - self.theirs).max(), np.abs(self.theirs).max())

    @property
    def correlation(self) -> float:
        """Pearson's; NaN where either is constant."""
        return correlation(self.ours, self.theirs)

    @property
    def may_be_by_ties(self) -> bool:
        """Whether it is of a class, so that decisions matter, and its difference not too large for a few."""
        return self.target is not None and self.tolerance < self.relative_l2 <= MOST_BY_TIES

    @property
    def left(self) -> float:
        """The relative L2 difference that is left with the ties turned; NaN where none were."""
        return np.nan if self.turned is None else relative_l2(self.turned, self.theirs)

    @property
    def by_ties(self) -> bool:
        """Whether the difference is above the tolerance, and gone once the ties are turned."""
        return self.may_be_by_ties and self.left <= self.tolerance

    @property
    def passed(self) -> bool:
        """Whether ours is theirs but for rounding, and for what rounding decides."""
        return self.relative_l2 <= self.tolerance or self.by_ties

    def __str__(self) -> str:
        target = "-" if self.target is None else self.target
        result = "pass" if self.passed else "FAIL"
        return (
            f"{self.array:22s} {self.picture:7d} {target:>6} {self.relative_l2:9.1e} {self.peak_difference:9.1e} "
            f"{self.correlation:12.8f} {self.tolerance:9.0e}  {result}{' (ties)' * self.by_ties}"
        )


class Search(NamedTuple):
    """The search for decisions that explain the differences of a picture's gradients.

    Attributes:
        found: how many of its decisions are within rounding of a tie.
        turned: those that fall the other way in the reference.
        runs: how many session runs it took.
        spent: whether it ended because it may take no more.
    """

    found: int
    turned: Sequence[Tie]
    runs: int
    spent: bool


@dataclasses.dataclass(frozen=True, eq=False)
class Comparison:
    """What `compare` found.

    Attributes:
        rows: array by array, as in the reference.
        ties: picture -> what was found of ties, for pictures whose gradients differ.
        left_out: arrays that the reference has of some pictures or classes only, and how many.
        cause: why the first array that fails differs, in a sentence; empty where nothing fails.
    """

    rows: list[Agreement]
    ties: Mapping[int, Search]
    left_out: Sequence[str] = ()
    cause: str = ""

    @property
    def passed(self) -> bool:
        """Whether every row passed."""
        return all(row.passed for row in self.rows)

    def __str__(self) -> str:
        """The table, what was found of ties, what fails, and why."""
        lines = [HEADER, *map(str, self.rows)]
        for picture, search in self.ties.items():
            lines += self._of_ties(picture, search)
        if self.left_out:
            lines.append(f"the reference leaves out some pictures or classes of {', '.join(self.left_out)}")
        failed = [row.array for row in self.rows if not row.passed]
        if failed:
            counts = ", ".join(f"{name} ({failed.count(name)})" for name in dict.fromkeys(failed))
            lines.append(f"{len(failed)} of {len(self.rows)} rows fail: {counts}")
        if self.cause:
            lines.append(self.cause)
        return "\n".join(lines)

    def _of_ties(self, picture: int, search: Search) -> list[str]:
        line = f"picture {picture}: {search.found} of its decisions are within rounding of a tie; "
        rows = [row for row in self.rows if row.picture == picture]
        explained = [row.left for row in rows if row.by_ties]
        open_rows = [row for row in rows if row.may_be_by_ties and not row.by_ties]
        unexplained = f"not explained within {search.runs} runs"
        if not explained:
            return [line + (unexplained if search.spent else "turning them does not take the differences away")]
        line += (
            f"{len(search.turned)} fall the other way in the reference: turned, they bring the differences marked "
            f"(ties) down to {max(explained):.1e} and less"
        )
        if open_rows and search.spent:
            line += f"; the others are {unexplained}"
        shown = [f"    {tie.operation} at {tie.place}: {tie.margin:.1e} from the tie" for tie in search.turned[:_SHOWN]]
        more = [f"    and {len(search.turned) - _SHOWN} more"] if len(search.turned) > _SHOWN else []
        return [line, *shown, *more]


_SHOWN = 20  # ties of a picture, in words


def correlation(first: np.ndarray, second: np.ndarray) -> float:
    """Pearson's correlation of all values; NaN where either array is constant."""
    one, other = (_wide(array).ravel() - array.mean(dtype=np.float64) for array in (first, second))
    norm = np.linalg.norm(one) * np.linalg.norm(other)
    return float(one @ other / norm) if norm else float("nan")


def relative_l2(ours: np.ndarray, theirs: np.ndarray) -> float:
    """|ours - theirs| / |theirs|; infinite where theirs is zero and ours is not."""
    return _over(float(np.linalg.norm(_wide(ours) - theirs)), float(np.linalg.norm(_wide(theirs))))


def _over(difference: float, scale: float) -> float:
    """A difference over its scale; two zeros do not differ."""
    if scale:
        return difference / scale
    return float("inf") if difference else 0.0


def _wide(array: np.ndarray) -> np.ndarray:
    return array.astype(np.float64)
