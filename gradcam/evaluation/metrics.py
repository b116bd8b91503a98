"""Numbers that judge maps, and how alike two maps are; NumPy, SciPy and scikit-image."""

from __future__ import annotations

import statistics
from collections.abc import Sequence

import numpy as np

from gradcam import maps
from gradcam.boxes import Box
from gradcam.pictures import resize
from slim_models.mistakes import BadValue, MissingPackage

MEASURES = {"spearman": "Spearman's rank correlation", "ssim": "SSIM", "hog": "correlation of HOGs"}
SIZE = (112, 112)  # what maps are brought to, so that windows and cells are the same shares of any map
_WINDOW = 7  # pixels of SIZE: side of SSIM's uniform window
_AT_ONCE = 2**20  # random weights of an interval
_CELL = 14  # pixels of SIZE: side of HOG's cells, which are 8 x 8


def rank_correlation(first: np.ndarray, second: np.ndarray) -> float:
    """Spearman's rank correlation of two maps, ties by their mean rank; NaN where either is constant.

    Args:
        first: of any shape.
        second: of the same shape.
    """
    from scipy import stats  # half a second, which only evaluations need

    if np.shape(first) != np.shape(second):
        raise BadValue(f"maps of shapes {list(np.shape(first))} and {list(np.shape(second))} cannot be compared")
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


def pixel_points_at(heatmap: np.ndarray, mask: np.ndarray, tolerance: float = 15.0) -> bool:
    """Whether the first of the map's largest pixels is nearer than `tolerance` pixels to one of a mask's.

    The pointing game as TorchRay has it (Fong et al. 2019, arXiv 1910.08485): from pixel to pixel, and not quite as far
    as the tolerance; of a map that is zero everywhere the first pixel is meant.

    Args:
        heatmap: `[H, W]`.
        mask: bool `[H, W]`, what is of the class.
        tolerance: in pixels of the map.
    """
    row, column = np.unravel_index(np.argmax(heatmap), heatmap.shape)
    rows, columns = np.nonzero(mask)
    return bool(len(rows)) and bool((np.hypot(rows - row, columns - column) < tolerance).any())


def mask_of(boxes: Sequence[Box], size: tuple[int, int]) -> np.ndarray:
    """The pixels of a picture of (height, width) `size` whose centres are in one of the boxes: bool `[H, W]`."""
    mask = np.zeros(size, bool)
    for x0, y0, x1, y1 in boxes:
        rows, columns = (slice(*(max(0, int(np.ceil(side - 0.5))) for side in sides)) for sides in ((y0, y1), (x0, x1)))
        mask[rows, columns] = True
    return mask


def mass_inside(heatmap: np.ndarray, mask: np.ndarray) -> float:
    """The share of a map that lies on the object: sum of the map within, over its sum.

    Relevance mass accuracy (Arras et al. 2022, arXiv 2003.07258), and the energy-based pointing game (Wang et al. 2020,
    Score-CAM, arXiv 1910.01279), which are one formula. Higher is better.

    Args:
        heatmap: `[H, W]`, >= 0.
        mask: bool `[H, W]`, what is of the class.

    Returns:
        A share from 0 to 1; NaN of a map that is zero everywhere.
    """
    total = float(heatmap.sum(dtype=np.float64))
    return float(heatmap[mask].sum(dtype=np.float64)) / total if total else float("nan")


def rank_accuracy(heatmap: np.ndarray, mask: np.ndarray) -> float:
    """The share of a map's hottest pixels, as many as the object has, that lies on it.

    Relevance rank accuracy (Arras et al. 2022, arXiv 2003.07258). Higher is better. Pixels that are as hot as the last
    of these count for as much as there is room for them.

    Args:
        heatmap: `[H, W]`, >= 0.
        mask: bool `[H, W]`, what is of the class.

    Returns:
        A share from 0 to 1; NaN of a map that is zero everywhere, and of an object without pixels.
    """
    count = int(mask.sum())
    if not count or not heatmap.any():
        return float("nan")
    last = np.partition(heatmap.ravel(), -count)[-count]
    above, level = heatmap > last, heatmap == last
    room = (count - above.sum()) / level.sum()
    return float((above & mask).sum() + room * (level & mask).sum()) / count


def _distance(x: float, y: float, box: Box) -> float:
    """From a point to a box in pixels, 0 inside."""
    return float(np.hypot(max(box[0] - x, 0, x - box[2]), max(box[1] - y, 0, y - box[3])))


def share_interval(hits: float, count: float, *, level: float = 0.95) -> tuple[float, float]:
    """Wilson's score interval of a share (Wilson 1927; Brown, Cai & DasGupta 2001 on how it holds for few).

    Args:
        hits: how many of the pictures count, 0 to `count`; of weighted ones no whole number.
        count: of the pictures.
        level: of confidence.

    Returns:
        Lower and upper end within [0, 1]; also of no or all pictures it is no point. NaN twice of no pictures at all.
    """
    if not count:
        return float("nan"), float("nan")
    z = statistics.NormalDist().inv_cdf((1 + level) / 2)
    centre = (hits + z**2 / 2) / (count + z**2)
    half = z * np.sqrt(hits * (count - hits) / count + z**2 / 4) / (count + z**2)
    return (max(0.0, float(centre - half)) if hits else 0.0), (min(1.0, float(centre + half)) if hits < count else 1.0)


def mean_interval(
    values: np.ndarray, bounds: tuple[float, float] = (0.0, 1.0), *, level: float = 0.95, draws: int = 4000
) -> tuple[float, float]:
    """Gaffke's interval of the mean of values within bounds, which holds for few and of any distribution.

    Gaffke 2005, "Three test statistics for a nonparametric one-sided hypothesis on the mean of a nonnegative
    variable"; Learned-Miller & Thomas 2019 (arXiv 1905.06208), where it is compared, and conjectured to hold always.
    The values, and a bound that stands for what was not seen, get random weights, uniformly distributed among those
    that add up to 1: the ends are quantiles of the weighted means. Of values that are all 0 or 1 that is Clopper and
    Pearson's exact interval, of many values the bootstrap's. Student's, of six equal values, would be a point.

    Where a bound is infinite there is no such interval: then it is Student's, which holds for many values.

    Args:
        values: `[M]`, one a picture.
        bounds: the least and the largest possible value.
        level: of confidence.
        draws: of the weights, by one seed: the same values give the same interval.

    Returns:
        Lower and upper end within finite bounds; NaN twice where there are no values, or one without bounds.
    """
    values = np.clip(np.asarray(values, np.float64), *bounds)
    bounded = bool(np.isfinite(bounds).all())
    if len(values) < (1 if bounded else 2):
        return float("nan"), float("nan")
    if not bounded:
        return _student(values, level)
    rng = np.random.default_rng(0)
    ended = np.stack([np.append(values, bound) for bound in bounds], axis=1)
    step = max(1, _AT_ONCE // len(ended))
    means = []
    for start in range(0, draws, step):
        weights = rng.standard_exponential((min(step, draws - start), len(ended)))
        means.append(weights @ ended / weights.sum(axis=1, keepdims=True))
    lower, upper = np.concatenate(means).T
    return float(np.quantile(lower, (1 - level) / 2)), float(np.quantile(upper, (1 + level) / 2))


def _student(values: np.ndarray, level: float) -> tuple[float, float]:
    """Student's interval of the mean of at least two values."""
    from scipy import stats

    half = stats.t.ppf((1 + level) / 2, len(values) - 1) * values.std(ddof=1) / np.sqrt(len(values))
    return float(values.mean() - half), float(values.mean() + half)


def similarities(first: np.ndarray, second: np.ndarray) -> dict[str, float]:
    """Three measures of how alike two maps are; 1 for equal ones (Adebayo et al. 2018, sec. 3, metrics).

    `spearman` is the rank correlation of the maps as they are. For the others both are brought to `SIZE` and
    divided by their maximum. `ssim` is the mean of eq. 13 of Wang et al. 2004 over uniform windows of 7 x 7
    pixels, with sample (co)variances and a data range of 1; where both maps are near zero it is near 1, so that
    it is high for any two maps that are mostly zero. `hog` is Pearson's correlation of the histograms of oriented
    gradients (Dalal & Triggs 2005: 9 orientations, 8 x 8 cells, blocks of 3 x 3 cells, L2-Hys).

    Adebayo et al. take ranks of signed saliency as well; the maps of this project are magnitudes, so that
    this is their rank correlation of absolute values.

    Args:
        first: `[H, W]`, >= 0.
        second: of the same shape.

    Returns:
        A number for each of `MEASURES`; NaN for all where either map is constant.

    Raises:
        ImportError: there is no scikit-image.
        ValueError: no map, maps of two shapes, or values that are negative or not finite.
    """
    first, second = np.asarray(first), np.asarray(second)
    if first.shape != second.shape or first.ndim != 2:
        raise BadValue(f"two maps must be [H, W] of one shape, not {list(first.shape)} and {list(second.shape)}")
    scaled = [maps.heatmap(resize(one, SIZE)[None], SIZE)[0] for one in (first, second)]
    if min(np.ptp(first), np.ptp(second)) == 0:
        return dict.fromkeys(MEASURES, float("nan"))
    return {"spearman": rank_correlation(first, second), "ssim": _ssim(*scaled), "hog": _hog(*scaled)}


def _ssim(first: np.ndarray, second: np.ndarray) -> float:
    try:
        from skimage.metrics import structural_similarity
    except ImportError as error:
        raise _missing(error) from error
    return float(structural_similarity(first, second, win_size=_WINDOW, data_range=1.0, gaussian_weights=False))


def _hog(first: np.ndarray, second: np.ndarray) -> float:
    try:
        from skimage.feature import hog
    except ImportError as error:
        raise _missing(error) from error
    first, second = (
        hog(one, orientations=9, pixels_per_cell=(_CELL, _CELL), cells_per_block=(3, 3), block_norm="L2-Hys")
        for one in (first, second)
    )
    return float(np.corrcoef(first, second)[0, 1]) if min(np.ptp(first), np.ptp(second)) > 0 else float("nan")


def _missing(error: ImportError) -> ImportError:
    return MissingPackage(f"SSIM and HOG come with scikit-image: pip install 'gradcam-tf1[demo]' ({error})")
