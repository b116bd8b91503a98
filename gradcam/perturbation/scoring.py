"""Scores of many changed pictures, a portion at a time: what all maps by perturbation do; NumPy."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
from tqdm import tqdm

GREY = (124.0, 117.0, 104.0)  # ImageNet's mean colour, RGB: what a network sees as nothing
Score = Callable[[np.ndarray], np.ndarray]  # pictures [N, H, W, K] -> what the class scores, [N]


def in_portions(
    count: int, score: Callable[[slice], np.ndarray], *, batch: int, unit: str, progress: bool = False
) -> np.ndarray:
    """What all of `count` changed pictures score.

    Args:
        count: how many there are.
        score: makes those of a slice, and gives their scores `[n]`.
        batch: pictures a run; memory is bounded by it.
        unit: what the bar counts.
        progress: whether a bar is shown, if on a terminal.

    Returns:
        `[count]`.
    """
    return np.concatenate([score(part) for part in portions(count, batch=batch, unit=unit, progress=progress)])


def portions(count: int, *, batch: int, unit: str, progress: bool = False) -> Iterator[slice]:
    """Slices of at most `batch` that make up `count`, with a bar as of `in_portions`."""
    with tqdm(total=count, unit=unit, disable=None if progress else True, leave=False) as bar:
        for start in range(0, count, batch):
            part = slice(start, min(start + batch, count))
            yield part
            bar.update(part.stop - part.start)


def mean_colour(image: np.ndarray) -> np.ndarray:
    """What is put in the place of what is hidden: ImageNet's mean colour, or of an array its own; `[K]`.

    Args:
        image: `[H, W, K]`.
    """
    is_photograph = image.shape[2] == 3 and image.min() >= 0 and (image.max() > 1 or not image.any())
    colour = np.array(GREY) if is_photograph and image.max() <= 255 else image.mean((0, 1))
    return colour.astype(np.float32)


def masked(image: np.ndarray, masks: np.ndarray, colour: np.ndarray) -> np.ndarray:
    """A picture seen through masks: where they are 0 it is of one colour.

    Args:
        image: `[H, W, K]`.
        masks: `[n, H, W]` in [0, 1].
        colour: `[K]`.

    Returns:
        float32 `[n, H, W, K]`.
    """
    return colour + np.float32(masks)[..., None] * (np.asarray(image, np.float32) - colour)
