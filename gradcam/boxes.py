"""Boxes: from heat maps, and how they overlap. Coordinates are x0, y0, x1, y1 in pixels, half open."""

from __future__ import annotations

from collections.abc import Iterable

import cv2
import numpy as np

from slim_models.mistakes import BadValue, check_name

Box = tuple[float, float, float, float]

SEGMENTS = ("largest", "peak", "all")


def box_of(heatmap: np.ndarray, threshold: float = 0.15, segment: str = "largest") -> Box:
    """The box round what is hot (Selvaraju et al. 2017, sec. 4.1: 15 % of the maximum, largest segment).

    Args:
        heatmap: `[H, W]`, >= 0.
        threshold: share of the map's maximum that a place must reach.
        segment: `"largest"`, the connected segment of most pixels; `"peak"`, the one with the maximum;
            `"all"`, everything above the threshold. Pixels connect to their eight neighbours.

    Returns:
        The box in pixels of the map, `(x0, y0, x1, y1)`: left, top, right and bottom, columns before rows, half open,
        so that `heatmap[y0:y1, x0:x1]` is what is in it; the whole map where it is zero everywhere.

    Raises:
        KeyError: no such choice of segment.
        ValueError: the threshold is not in (0, 1], or the map is negative or not finite somewhere.
    """
    check_name("segment", segment, SEGMENTS)
    if not 0 < threshold <= 1:
        raise BadValue(f"a box's threshold is a share of the maximum, above 0 and up to 1, not {threshold}")
    if heatmap.ndim != 2 or not np.isfinite(heatmap).all() or (heatmap < 0).any():
        raise BadValue("a heat map must be [H, W], finite and >= 0 everywhere")
    peak = heatmap.max()
    if not peak > 0:
        return (0, 0, *heatmap.shape[::-1])
    hot = (heatmap >= threshold * peak).astype(np.uint8)
    if segment == "all":
        left, top, width, height = cv2.boundingRect(hot)
        return (left, top, left + width, top + height)
    _, numbers, statistics, _ = cv2.connectedComponentsWithStats(hot, connectivity=8)
    if segment == "largest":
        number = 1 + int(statistics[1:, cv2.CC_STAT_AREA].argmax())  # 0 is what is not hot
    else:
        number = int(numbers[np.unravel_index(np.argmax(heatmap), heatmap.shape)])
    left, top, width, height = statistics[number, :4].tolist()
    return (left, top, left + width, top + height)


def iou(first: Box, second: Box) -> float:
    """Intersection over union of two boxes, in [0, 1]; 0 for two without area."""
    width = min(first[2], second[2]) - max(first[0], second[0])
    height = min(first[3], second[3]) - max(first[1], second[1])
    common = max(width, 0) * max(height, 0)
    union = area(first) + area(second) - common
    return common / union if union else 0.0


def best_iou(box: Box, others: Iterable[Box]) -> float:
    """The largest IoU with any of several true boxes (ILSVRC's rule); 0 if there are none."""
    return max((iou(box, other) for other in others), default=0.0)


def area(box: Box) -> float:
    """In square pixels."""
    return (box[2] - box[0]) * (box[3] - box[1])


def scaled(box: Box, size: tuple[int, int], other: tuple[int, int]) -> Box:
    """A box of a picture of (height, width) `size` in pixels of the same picture at another size."""
    y, x = other[0] / size[0], other[1] / size[1]
    return (box[0] * x, box[1] * y, box[2] * x, box[3] * y)


def whole(size: tuple[int, int]) -> Box:
    """The whole picture of (height, width) `size`: the baseline that needs no network."""
    return (0, 0, size[1], size[0])


def centred(size: tuple[int, int], share: float = 0.5) -> Box:
    """A box round the centre with the picture's proportions and that share of its area."""
    height, width = (np.sqrt(share) * side for side in size)
    return ((size[1] - width) / 2, (size[0] - height) / 2, (size[1] + width) / 2, (size[0] + height) / 2)
