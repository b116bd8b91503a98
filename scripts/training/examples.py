"""What is learnt from: pictures, changed at random, and what a network is to predict of them."""

from __future__ import annotations

import cv2
import numpy as np

from slim_models.heads import softmax

SMOOTHING = 0.1  # of labels, where nothing else is known
TEACHERS_SHARE = 0.7
# A 64-pixel picture enlarged in different ways: the network must not come to need one way's blur.
INTERPOLATIONS = (cv2.INTER_LINEAR, cv2.INTER_LINEAR, cv2.INTER_CUBIC, cv2.INTER_LANCZOS4, cv2.INTER_NEAREST)


def smoothed_labels(labels: np.ndarray, classes: int) -> np.ndarray:
    """A label's class is probable, each other a little: float32 `[N, C]` (Szegedy et al. 2016, sec. 7).

    Args:
        labels: `[N]`, in `[0, C)`.
        classes: C.
    """
    return (1 - SMOOTHING) * np.eye(classes, dtype=np.float32)[labels] + np.float32(SMOOTHING / classes)


def taught_labels(labels: np.ndarray, logits: np.ndarray) -> np.ndarray:
    """The label's class and a teacher's probabilities, weighed: float32 `[N, C]`.

    The cross entropy with them is the distillation loss of Hinton et al. (2015, sec. 2) at temperature 1.

    Args:
        labels: `[N]`, in `[0, C)`.
        logits: `[N, C]`, the teacher's.
    """
    own = np.eye(logits.shape[1], dtype=np.float32)[labels]
    return (1 - TEACHERS_SHARE) * own + TEACHERS_SHARE * softmax(logits.astype(np.float32))


def augment(images: np.ndarray, size: int, crop: float, stretch: float, rng: np.random.Generator) -> np.ndarray:
    """Random crops, half of them flipped: uint8 `[N, size, size, 3]`.

    Args:
        images: uint8 `[N, H, W, 3]`.
        size: of the result in pixels.
        crop: smallest share of a picture's area.
        stretch: the logarithm of the most by which one side grows and the other shrinks.
        rng: where the random numbers come from.
    """
    result = np.empty((len(images), size, size, 3), np.uint8)
    for image, out in zip(images, result):
        side = image.shape[0]
        extent, factor = side * np.sqrt(rng.uniform(crop, 1)), np.exp(rng.uniform(-stretch, stretch))
        height, width = min(side, round(extent * factor)), min(side, round(extent / factor))
        top, left = rng.integers(side - height + 1), rng.integers(side - width + 1)
        part = image[top : top + height, left : left + width, :: 1 if rng.random() < 0.5 else -1]
        cv2.resize(part, (size, size), dst=out, interpolation=int(rng.choice(INTERPOLATIONS)))
    return result


def cut_mix(
    images: np.ndarray, targets: np.ndarray, share: float, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Some pictures get a rectangle of another one, and what is predicted of them is as much of that one's.

    CutMix (Yun et al. 2019, eq. 1 and 2, alpha 1): a network that must tell an object from any part of it looks at more
    than its most telling part.

    Args:
        images: uint8 `[N, H, W, 3]`.
        targets: `[N, C]`.
        share: of the pictures that get one.
        rng: where the random numbers come from.

    Returns:
        Both anew. Rectangles are centred anywhere in the picture and cut off at its border; what counts is their area
        within it.
    """
    mixed, beliefs = images.copy(), targets.copy()
    height, width = images.shape[1:3]
    for i, other in enumerate(rng.permutation(len(images))):
        if rng.random() >= share:
            continue
        extent, y, x = np.sqrt(rng.random()) / 2, rng.random(), rng.random()
        top, bottom = (round(height * min(1, max(0, side))) for side in (y - extent, y + extent))
        left, right = (round(width * min(1, max(0, side))) for side in (x - extent, x + extent))
        mixed[i, top:bottom, left:right] = images[other, top:bottom, left:right]
        area = (bottom - top) * (right - left) / (height * width)
        beliefs[i] = (1 - area) * targets[i] + area * targets[other]
    return mixed, beliefs
