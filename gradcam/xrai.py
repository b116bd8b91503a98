"""XRAI: attributions of pixels gathered into regions of the picture; NumPy, OpenCV and scikit-image."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from gradcam.pictures import resize
from slim_models.mistakes import BadValue, MissingPackage

SCALES = (50, 100, 150, 250, 500, 1200)  # of Felzenszwalb & Huttenlocher's segmentation, from fine to coarse
SIDE = 224  # pixels of the picture that is segmented: the scales are for it
_SIGMA, _LEAST = 0.8, 150  # of the segmentation: blur and pixels of a segment, at SIDE
_RADIUS = 5  # by which segments grow, so that their edges belong to both sides
_LEAST_NEW = 50  # pixels that a region must add, at SIDE


def segments(image: np.ndarray) -> np.ndarray:
    """Overlapping regions of a picture: its segments at six scales, each grown by 5 pixels.

    Kapishnikov et al. 2019 (arXiv 1906.02825), alg. 1, with the graph-based segmentation of Felzenszwalb & Huttenlocher
    2004; its parameters are those of the authors' code.

    Args:
        image: `[H, W, K]`; K is brought to three or one channel by those that there are, or their mean.

    Returns:
        bool `[S, H, W]`.

    Raises:
        ImportError: there is no scikit-image.
    """
    try:
        from skimage.segmentation import felzenszwalb
    except ImportError as error:
        raise MissingPackage(f"XRAI needs scikit-image: pip install 'gradcam-tf1[demo]' ({error})") from error
    image = np.asarray(image, np.float64)
    image = image if image.shape[2] == 3 else image.mean(axis=2, keepdims=True)
    spread = float(np.ptp(image)) or 1.0
    small = np.float64(resize((image - image.min()) / spread * 2 - 1, SIDE))
    height, width = image.shape[:2]
    size = 2 * _RADIUS + 1
    disk = np.hypot(*np.mgrid[-_RADIUS : _RADIUS + 1, -_RADIUS : _RADIUS + 1]) <= _RADIUS
    found = []
    for scale in SCALES:
        labels = felzenszwalb(small, scale=scale, sigma=_SIGMA, min_size=_LEAST, channel_axis=-1).astype(np.int32)
        labels = cv2.resize(labels, (width, height), interpolation=cv2.INTER_NEAREST)
        found += [(labels == label).astype(np.uint8) for label in np.unique(labels)]
    return np.stack([cv2.dilate(mask, disk.astype(np.uint8).reshape(size, size)) for mask in found]) > 0


def xrai_map(attributions: np.ndarray, masks: np.ndarray, least: int | None = None) -> np.ndarray:
    """Regions in the order in which they add most attribution a pixel, each with what it adds (XRAI).

    Kapishnikov et al. 2019 (arXiv 1906.02825), alg. 1: beginning with nothing, the region whose new pixels have the
    largest mean attribution is added, until all are in. Pixels that no region adds are a region of their own.

    Args:
        attributions: `[H, W]`, of integrated gradients, signed.
        masks: bool `[S, H, W]`, as of `segments`.
        least: new pixels that a region must add, or else it is left out; None is 50 of 224 x 224.

    Returns:
        float64 `[H, W]`, signed: the mean attribution of the pixels that were added with each.

    Raises:
        ValueError: no masks, or of another size.
    """
    masks = np.asarray(masks, bool)
    if masks.shape[1:] != attributions.shape or not len(masks):
        raise BadValue(f"the regions of a map of {list(attributions.shape)} cannot be {list(masks.shape)}")
    values, flat = np.float64(attributions).ravel(), masks.reshape(len(masks), -1)
    least = max(1, round(_LEAST_NEW * values.size / SIDE**2)) if least is None else least
    left, result = np.ones(values.size, bool), np.zeros(values.size)
    rest = np.arange(len(flat))
    while True:
        counts = flat[rest] @ left.astype(np.float32)
        rest = rest[counts >= least]
        if not len(rest):
            break
        sums = flat[rest] @ (values * left)
        best = rest[np.argmax(sums / counts[counts >= least])]
        new = flat[best] & left
        result[new] = values[new].mean()
        left &= ~new
    if left.any():
        result[left] = values[left].mean()
    return result.reshape(attributions.shape)


def gathered(attributions: Sequence[np.ndarray]) -> np.ndarray:
    """Attributions of several baselines as one of pixels: their mean, and of it the largest channel.

    Args:
        attributions: `[H, W, K]` each, signed.

    Returns:
        float64 `[H, W]`.
    """
    return np.mean(attributions, axis=0).max(axis=-1)
