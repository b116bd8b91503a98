"""Boxes from maps at every threshold: MaxBoxAcc and MaxBoxAccV2 (Choe et al. 2020), which no choice of one decides."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import cv2
import numpy as np

from gradcam import boxes
from gradcam.boxes import Box
from gradcam.evaluation.estimates import Estimate, estimate

THRESHOLDS = tuple(step / 100 for step in range(100))  # shares of the map's range
OVERLAPS = (0.3, 0.5, 0.7)  # that a box must reach: V2 is the mean over them, V1 is of the second


def reached(heatmap: np.ndarray, true: Sequence[Box], *, largest: bool) -> str:
    """How many of `OVERLAPS` the best box of a map reaches at each threshold.

    Choe et al. 2020 (arXiv 2001.07437; 2007.04178 for V2): of the map, brought to [0, 1], what is at least the
    threshold, pixels connecting to their eight neighbours.

    Args:
        heatmap: `[H, W]`, finite.
        true: boxes in pixels of the map.
        largest: whether the box is that of the segment of most pixels (V1), or any segment's (V2).

    Returns:
        For each of `THRESHOLDS` a digit from 0 to 3: a journal holds a hundred of them a map.
    """
    low, high = float(heatmap.min()), float(heatmap.max())
    scaled = (heatmap - low) / (high - low) if high > low else np.zeros_like(heatmap)
    return "".join(str(_count(scaled >= threshold, true, largest)) for threshold in THRESHOLDS)


def _count(hot: np.ndarray, true: Sequence[Box], largest: bool) -> int:
    _, _, statistics, _ = cv2.connectedComponentsWithStats(hot.astype(np.uint8), connectivity=8)
    segments = statistics[1:].tolist()  # the first is what is not hot
    if largest:
        segments = [max(segments, key=lambda segment: segment[cv2.CC_STAT_AREA])]
    best = max(boxes.best_iou((x, y, x + width, y + height), true) for x, y, width, height, _ in segments)
    return sum(best >= overlap for overlap in OVERLAPS)


def max_box_acc(words: Sequence[str]) -> Estimate:
    """MaxBoxAcc: per cent of pictures whose box has an IoU of 0.5 at the threshold at which most have.

    Args:
        words: a picture each, of `reached` by the largest segment.
    """
    return estimate(_found(words), 100)


def max_box_acc_v2(words: Sequence[str]) -> Estimate:
    """MaxBoxAccV2: the same by the best of all boxes, the mean over IoUs of 0.3, 0.5 and 0.7, a threshold for each.

    Args:
        words: a picture each, of `reached` by any segment.
    """
    return estimate(_found_v2(words), 100)


def _found(words: Sequence[str]) -> np.ndarray:
    return _best(_digits(words) >= 2)


def _found_v2(words: Sequence[str]) -> np.ndarray:
    digits = _digits(words)
    return np.mean([_best(digits >= count) for count in range(1, len(OVERLAPS) + 1)], axis=0)


def _digits(words: Sequence[str]) -> np.ndarray:
    return np.array([list(word) for word in words], int).reshape(len(words), len(THRESHOLDS))


def _best(right: np.ndarray) -> np.ndarray:
    """Of pictures and thresholds, bool `[M, T]`, the threshold's at which most are right: `[M]`."""
    return right[:, right.sum(axis=0).argmax()]


# What each metric says of single pictures: `reached` of M pictures -> `[M]`, from 0 to 1.
FOUND: dict[str, Callable[[Sequence[str]], np.ndarray]] = {"max_box_acc": _found, "max_box_acc_v2": _found_v2}
