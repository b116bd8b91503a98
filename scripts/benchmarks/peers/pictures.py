"""The pictures that everybody is measured on: drawn, so that they need not be fetched."""

from __future__ import annotations

import numpy as np

SEED = 0
CLASSES = 10  # of the task `classes`


def draw(count: int, size: int = 224) -> np.ndarray:
    """Patches of colour with some noise, float32 RGB `[count, size, size, 3]` in [0, 255].

    Patches, so that a map has places to differ at; the n-th picture is the same whatever the count.
    """
    return np.stack([_one(np.random.default_rng((SEED, number)), size) for number in range(count)])


def _one(rng: np.random.Generator, size: int) -> np.ndarray:
    patches = rng.uniform(0, 255, (7, 7, 3))
    places = np.arange(size) * 7 // size
    noise = rng.normal(0, 20, (size, size, 3))
    return np.clip(patches[places][:, places] + noise, 0, 255).astype(np.float32)
