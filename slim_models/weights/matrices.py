"""Matrices of fully connected layers, `[out, in]` in Caffe and PyTorch, as the `[in, out]` of TensorFlow."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from slim_models.memory import aligned_array, freeze

_ROWS = 256  # at a time: VGG16's fc6 is three quarters of its file, and all of it at once would be there twice


def turned(
    rows: Callable[[int, int], np.ndarray], outputs: int, depth: int, side: int = 1, dtype: np.typing.DTypeLike = "f4"
) -> np.ndarray:
    """Rows as columns, and their numbers, in channel-height-width order, in height-width-channel order.

    Args:
        rows: first, last -> `[last - first, depth * side * side]`.
        outputs: how many there are.
        depth: channels of the maps that the layer takes.
        side: of these maps; 1 if it takes none.
        dtype: of the numbers.

    Returns:
        `[side * side * depth, outputs]`, read-only, in memory that a variable can take over.
    """
    result = aligned_array((side, side, depth, outputs), dtype)
    for first in range(0, outputs, _ROWS):
        part = rows(first, min(first + _ROWS, outputs))
        result[..., first : first + _ROWS] = part.reshape(-1, depth, side, side).transpose(2, 3, 1, 0)
    return freeze(result.reshape(side * side * depth, outputs))
