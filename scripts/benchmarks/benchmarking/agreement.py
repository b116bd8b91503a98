"""Whether two programs made the same maps: before that, nobody's time means anything."""

from __future__ import annotations

from collections.abc import Mapping

import cv2
import numpy as np

from slim_models.mistakes import BadValue

THRESHOLDS = {"float32": 0.99, "bfloat16": 0.9}


def correlations(
    first: Mapping[str, np.ndarray], second: Mapping[str, np.ndarray], side: int = 224
) -> dict[str, float]:
    """How alike each kind of map is, in the picture that it is least alike in.

    Args:
        first: `cam`, `[N, h, w]`, and/or `guided`, `[N, H, W, 3]`.
        second: the same kinds for the same pictures, of any size and scale.
        side: height and width at which maps are compared.

    Returns:
        Kind -> Pearson's correlation coefficient.

    Raises:
        ValueError: other kinds, or another number of pictures.
    """
    if set(first) != set(second):
        raise BadValue(f"there are maps {', '.join(second)}, not {', '.join(first)}")
    result = {}
    for kind, maps in first.items():
        if len(maps) != len(second[kind]):
            raise BadValue(f"there are {len(second[kind])} maps of the kind {kind}, not {len(maps)}")
        pairs = zip(maps, second[kind])
        result[kind] = min(correlation(enlarged(one, side), enlarged(other, side)) for one, other in pairs)
    return result


def enlarged(one: np.ndarray, side: int) -> np.ndarray:
    """A map, with or without channels, brought to `side` x `side` bilinearly, in float64."""
    return cv2.resize(np.asarray(one, np.float64), (side, side), interpolation=cv2.INTER_LINEAR)


def correlation(first: np.ndarray, second: np.ndarray) -> float:
    """Pearson's; 0 if a value is not finite. Two maps that are flat are alike, a flat one and another are not."""
    if not (np.isfinite(first).all() and np.isfinite(second).all()):
        return 0.0
    first, second = first - first.mean(), second - second.mean()
    flat = [np.abs(one).max() == 0 for one in (first, second)]
    if any(flat):
        return float(all(flat))
    # Scaled first: the squares of the smallest gradients underflow.
    first, second = first / np.abs(first).max(), second / np.abs(second).max()
    return float((first * second).sum() / np.sqrt((first**2).sum() * (second**2).sum()))
