"""Numbers that judge maps; NumPy and SciPy. Boxes have a room of their own."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from gradcam.boxes import Box


def rank_correlation(first: np.ndarray, second: np.ndarray) -> float:
    """Spearman's rank correlation of two maps, ties by their mean rank; NaN where either is constant.

    Args:
        first: of any shape.
        second: of the same shape.
    """
    from scipy import stats  # half a second, which only evaluations need

    if np.shape(first) != np.shape(second):
        raise ValueError(f"maps of shapes {list(np.shape(first))} and {list(np.shape(second))} cannot be compared")
    if min(np.ptp(first), np.ptp(second)) == 0:
        return float("nan")
    return float(np.corrcoef(stats.rankdata(first), stats.rankdata(second))[0, 1])


def points_at(heatmap: np.ndarray, boxes: Sequence[Box], tolerance: float = 15.0) -> bool:
    """Whether the map's maximum lies in one of the boxes, or at most `tolerance` pixels from it.

    Zhang et al. 2016 (arXiv 1608.00507), sec. 4.1: the pointing game, with its margin of 15 pixels.

    Args:
        heatmap: `[H, W]`, >= 0; if several places share the maximum, it is at their centre of gravity; a map
            that is zero everywhere points at nothing.
        boxes: in pixels of the map.
        tolerance: in pixels of the map.
    """
    if not heatmap.max() > 0:
        return False
    # A map that was enlarged has plateaus; their first pixel would pull every point to the upper left.
    rows, columns = np.nonzero(heatmap == heatmap.max())
    x, y = columns.mean() + 0.5, rows.mean() + 0.5
    return any(_distance(x, y, box) <= tolerance for box in boxes)


def _distance(x: float, y: float, box: Box) -> float:
    """From a point to a box in pixels, 0 inside."""
    return float(np.hypot(max(box[0] - x, 0, x - box[2]), max(box[1] - y, 0, y - box[3])))


def bootstrap_interval(
    values: np.ndarray, *, level: float = 0.95, resamples: int = 2000, seed: int = 0
) -> tuple[float, float]:
    """Percentile bootstrap interval of a mean (Efron & Tibshirani 1993, ch. 13).

    Args:
        values: `[M]`, one a picture.
        level: of confidence.
        resamples: drawn with replacement.
        seed: of the draws: the same values give the same interval.

    Returns:
        Lower and upper end; NaN twice where there are no values.
    """
    values = np.asarray(values, np.float64)
    if not len(values):
        return float("nan"), float("nan")
    rng = np.random.default_rng(seed)
    means = [values[rng.integers(len(values), size=len(values))].mean() for _ in range(resamples)]
    lower, upper = np.quantile(means, [(1 - level) / 2, (1 + level) / 2])
    return float(lower), float(upper)
