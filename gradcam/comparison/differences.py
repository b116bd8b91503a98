"""Arrays of another program beside ours: how much they differ, and whether that is more than rounding."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np

from slim_models.decisions import Tie

# Steps of turned ties are explained one by one, but more than this is no rounding any more.
MOST_BY_TIES = 0.05


@dataclasses.dataclass(frozen=True, eq=False)
class Row:
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
        return _relative_l2(self.ours, self.theirs)

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
        return np.nan if self.turned is None else _relative_l2(self.turned, self.theirs)

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


HEADER = "array                  picture  class   rel. L2   of peak  correlation tolerance"


@dataclasses.dataclass(frozen=True, eq=False)
class Comparison:
    """What `compare` found.

    Attributes:
        rows: array by array, as in the reference.
        ties: picture -> (ties within rounding, those that fall the other way in the reference), for
            pictures whose gradients differ.
        left_out: arrays that the reference has of some pictures or classes only, and how many.
    """

    rows: list[Row]
    ties: Mapping[int, tuple[list[Tie], list[Tie]]]
    left_out: Sequence[str] = ()

    @property
    def passed(self) -> bool:
        """Whether every row passed."""
        return all(row.passed for row in self.rows)

    def __str__(self) -> str:
        """The table, and what was found of ties."""
        lines = [HEADER, *map(str, self.rows)]
        for picture, (found, turned) in self.ties.items():
            left = [row.left for row in self.rows if row.picture == picture and row.by_ties]
            lines.append(f"picture {picture}: {len(found)} of its decisions are within rounding of a tie; ")
            if not left:
                lines[-1] += "turning them does not take the differences away"
                continue
            lines[-1] += (
                f"{len(turned)} fall the other way in the reference: turned, they bring the differences marked (ties) "
                f"down to {max(left):.1e} and less"
            )
            lines += [f"    {tie.operation} at {tie.place}: {tie.margin:.1e} from the tie" for tie in turned]
        if self.left_out:
            lines.append(f"the reference leaves out some pictures or classes of {', '.join(self.left_out)}")
        return "\n".join(lines)


def correlation(first: np.ndarray, second: np.ndarray) -> float:
    """Pearson's correlation of all values; NaN where either array is constant."""
    one, other = (_wide(array).ravel() - array.mean(dtype=np.float64) for array in (first, second))
    norm = np.linalg.norm(one) * np.linalg.norm(other)
    return float(one @ other / norm) if norm else float("nan")


def _relative_l2(ours: np.ndarray, theirs: np.ndarray) -> float:
    return _over(float(np.linalg.norm(_wide(ours) - theirs)), float(np.linalg.norm(_wide(theirs))))


def _over(difference: float, scale: float) -> float:
    """A difference over its scale; two zeros do not differ."""
    if scale:
        return difference / scale
    return float("inf") if difference else 0.0


def _wide(array: np.ndarray) -> np.ndarray:
    return array.astype(np.float64)
