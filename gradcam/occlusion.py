"""Occlusion maps: how much a class's score drops when a patch of the picture is grey; NumPy."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
from tqdm import tqdm

GREY = (124.0, 117.0, 104.0)  # ImageNet's mean colour, RGB: what a network sees as nothing


def occlusion_map(
    predict: Callable[[np.ndarray], np.ndarray],
    image: np.ndarray,
    target: int,
    *,
    patch: int | None = None,
    stride: int | None = None,
    fill: tuple[float, float, float] = GREY,
    batch: int = 64,
    progress: bool = False,
) -> np.ndarray:
    """The drop of a class's score with a patch at each place (Zeiler & Fergus 2014, sec. 4.2).

    The places are the centres of cells of `stride` pixels, so that the map lies on the picture as a layer's
    cam does; patches are cut off at the border.

    Args:
        predict: images `[N, H, W, 3]` -> scores `[N, C]`; `Explainer.predict` for logits.
        image: `[H, W, 3]`, RGB in [0, 255].
        target: index of the class.
        patch: side of the patch in pixels; None is a fifth of the picture's height (45 of 224).
        stride: between places in pixels; None is a fourteenth of the height (16 of 224).
        fill: the patch's colour, RGB.
        batch: pictures a run; memory is bounded by it.
        progress: whether a bar is shown, if on a terminal.

    Returns:
        `[h, w]`, score of the picture less its score with the patch: positive where the patch hides what
        speaks for the class, negative where it hides what speaks against it.

    Raises:
        ValueError: the image is not `[H, W, 3]`, or a size is not positive.
    """
    if image.ndim != 3 or image.shape[2] != 3:
        raise ValueError(f"one image must be [H, W, 3], not {list(image.shape)}")
    patch = max(1, round(image.shape[0] / 5)) if patch is None else patch
    stride = max(1, image.shape[0] // 14) if stride is None else stride
    if min(patch, stride, batch) < 1:
        raise ValueError(f"patch, stride and batch must be at least 1, not {patch}, {stride}, {batch}")
    regions = [[_region(row, patch, stride), _region(column, patch, stride)] for row, column in _places(image, stride)]
    score = predict(image[None])[0, target]
    scores = []
    with tqdm(total=len(regions), unit="patch", disable=None if progress else True, leave=False) as bar:
        for start in range(0, len(regions), batch):
            part = regions[start : start + batch]
            images = np.repeat(np.asarray(image, np.float32)[None], len(part), axis=0)
            for occluded, (rows, columns) in zip(images, part):
                occluded[rows, columns] = fill
            scores.append(predict(images)[:, target])
            bar.update(len(part))
    height, width = (-(-side // stride) for side in image.shape[:2])
    return (score - np.concatenate(scores)).reshape(height, width)


def _places(image: np.ndarray, stride: int) -> Iterator[tuple[int, int]]:
    height, width = (-(-side // stride) for side in image.shape[:2])
    return ((row, column) for row in range(height) for column in range(width))


def _region(place: int, patch: int, stride: int) -> slice:
    """The pixels of one axis that a patch about the centre of a cell covers."""
    start = place * stride + (stride - patch) // 2
    return slice(max(start, 0), start + patch)
