"""Maps that know nothing of the network, and that a method should beat: chance, the centre, edges; NumPy and OpenCV."""

from __future__ import annotations

import cv2
import numpy as np


def random_maps(count: int, size: tuple[int, int], seed: int = 0) -> np.ndarray:
    """Noise: every place a number from [0, 1), the same for every picture of a batch and every run.

    Args:
        count: N.
        size: (h, w).
        seed: of the noise.

    Returns:
        `[N, h, w]`.
    """
    return np.repeat(np.random.default_rng(seed).random((1, *size)), count, axis=0)


def centre_maps(count: int, size: tuple[int, int]) -> np.ndarray:
    """The centre: 1 there, and less in proportion to the distance, down to 0 at the corners' pixels.

    Args:
        count: N.
        size: (h, w).

    Returns:
        `[N, h, w]`.
    """
    rows, columns = (np.arange(side) - (side - 1) / 2 for side in size)
    distance = np.hypot(rows[:, None], columns)
    return np.repeat((1 - distance / max(distance.max(), 1e-30))[None], count, axis=0)


def sobel_maps(images: np.ndarray) -> np.ndarray:
    """Edges: the length of the gradient of the picture's grey (Sobel & Feldman 1968), which no class is in.

    Args:
        images: `[N, H, W, K]`; grey is the mean of the channels.

    Returns:
        float32 `[N, H, W]`, >= 0.
    """
    greys = np.asarray(images, np.float32).mean(axis=-1)
    return np.stack([np.hypot(*(cv2.Sobel(grey, cv2.CV_32F, dx, 1 - dx) for dx in (1, 0))) for grey in greys])
