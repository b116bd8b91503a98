"""Occlusion maps: how much a class's score drops when a patch of the picture is grey; NumPy."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence

import numpy as np

from gradcam.perturbation.scoring import in_portions, mean_colour
from slim_models.mistakes import BadValue


def occlusion_map(
    predict: Callable[[np.ndarray], np.ndarray],
    image: np.ndarray,
    target: int | Sequence[int] | np.ndarray,
    *,
    patch: int | None = None,
    stride: int | None = None,
    fill: Sequence[float] | None = None,
    batch: int = 64,
    progress: bool = False,
) -> np.ndarray:
    """The drop of a class's score with a patch at each place (Zeiler & Fergus 2014, sec. 4.2).

    The places are the centres of cells of `stride` pixels, or nearly so many that they fill the picture, so that
    the map lies on it as a layer's cam does; patches are cut off at the border.

    Args:
        predict: images `[N, H, W, K]` -> scores `[N, C]`; `Explainer.predict` for logits.
        image: `[H, W, 3]`, RGB in [0, 255]; or `[H, W, K]`, as the network takes it.
        target: index of the class; or of K classes, by the same runs.
        patch: side of the patch in pixels; None is a fifth of the picture's height (45 of 224).
        stride: between places in pixels; None is a fourteenth of the height (16 of 224).
        fill: the patch's colour, RGB, or K numbers; None is ImageNet's mean colour, and of what is no photograph, by
            its channels or its range, the mean of each of its channels.
        batch: pictures a run; memory is bounded by it.
        progress: whether a bar is shown, if on a terminal.

    Returns:
        `[h, w]`, or `[K, h, w]` of several classes, score of the picture less its score with the patch: positive where
        the patch hides what speaks for the class, negative where it hides what speaks against it.

    Raises:
        ValueError: the image is not `[H, W, K]`, the patch has another number of channels, a size is not positive, or
            a target is out of range.
    """
    if image.ndim != 3 or not image.size:
        raise BadValue(f"one image must be [H, W, K], not {list(image.shape)}")
    colour = np.asarray(mean_colour(image) if fill is None else fill, np.float32)
    if colour.shape != image.shape[2:]:
        raise BadValue(f"the fill of a patch must be {image.shape[2]} numbers, not {fill!r}")
    patch = max(1, round(image.shape[0] / 5)) if patch is None else patch
    stride = max(1, image.shape[0] // 14) if stride is None else stride
    if min(patch, stride, batch) < 1:
        raise BadValue(f"patch, stride and batch must be at least 1, not {patch}, {stride}, {batch}")
    rows, columns = (_spans(side, patch, stride) for side in image.shape[:2])
    regions = list(itertools.product(rows, columns))
    logits = predict(image[None])[0]
    for index in np.ravel(target):
        if not 0 <= index < len(logits):
            raise BadValue(f"target {index} is out of range: classes are 0 to {len(logits) - 1}")

    def with_patches(part: slice) -> np.ndarray:
        images = np.repeat(np.asarray(image, np.float32)[None], len(regions[part]), axis=0)
        for occluded, region in zip(images, regions[part]):
            occluded[region] = colour
        return predict(images)[:, target]

    scores = in_portions(len(regions), with_patches, batch=batch, unit="patch", progress=progress)
    drops = logits[target] - scores
    return np.moveaxis(drops.reshape(len(rows), len(columns), *np.shape(target)), (0, 1), (-2, -1))


def _spans(side: int, patch: int, stride: int) -> list[slice]:
    """The pixels of one axis that patches about the centres of its cells cover."""
    count = max(1, round(side / stride))
    starts = [math.floor((place + 0.5) * side / count - patch / 2) for place in range(count)]
    return [slice(max(start, 0), start + patch) for start in starts]
