"""Many seconds in a few numbers."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

Turns = Sequence[Sequence[float]]


def spread(turns: Turns) -> tuple[float, float, float]:
    """Median, first and third quartile of all runs of all turns."""
    first, middle, third = np.percentile(np.concatenate(turns), [25, 50, 75])
    return float(middle), float(first), float(third)


def least(turns: Turns) -> float:
    """The least of all runs: what the machine can do when nobody else is at it."""
    return float(np.min(np.concatenate(turns)))


def ratio(ours: Turns, theirs: Turns) -> float:
    """Ours over theirs: the median, over the rounds, of the ratio of the medians of two turns that followed each other.

    What slows the machine down for a while then slows both.
    """
    return float(np.median([np.median(one) / np.median(other) for one, other in zip(ours, theirs)]))
