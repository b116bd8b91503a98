"""How alike two maps are, by the three measures of Adebayo et al. 2018; NumPy and scikit-image."""

from __future__ import annotations

import numpy as np

from gradcam import fitting, maps
from gradcam.metrics import rank_correlation

MEASURES = {"spearman": "Spearman's rank correlation", "ssim": "SSIM", "hog": "correlation of HOGs"}

SIZE = (112, 112)  # what maps are brought to, so that windows and cells are the same shares of any map
_WINDOW = 7  # pixels of SIZE: side of SSIM's uniform window
_CELL = 14  # pixels of SIZE: side of HOG's cells, which are 8 x 8


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
        raise ValueError(f"two maps must be [H, W] of one shape, not {list(first.shape)} and {list(second.shape)}")
    scaled = [maps.heatmap(fitting.resize(one, SIZE)[None], SIZE)[0] for one in (first, second)]
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
    return ImportError(f"SSIM and HOG come with scikit-image: pip install 'gradcam-tf1[demo]' ({error})")
