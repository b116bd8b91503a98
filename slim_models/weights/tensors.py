"""What both versions of TensorFlow's checkpoints say of an array alike: its type, its shape and its parts."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from slim_models.memory import aligned_array
from slim_models.mistakes import BadValue
from slim_models.weights.protobuf import messages_in, numbers_in

Extents = tuple[tuple[int, int], ...]  # of a part: where it begins along each axis, and how long it is

_TYPES = {1: "<f4", 2: "<f8", 3: "<i4", 4: "u1", 5: "<i2", 6: "i1", 8: "<c8", 9: "<i8", 10: "?", 17: "<u2"}
_TYPES |= {18: "<c16", 19: "<f2", 22: "<u4", 23: "<u8"}
_BFLOAT16 = 14
_WHOLE = -1  # length of a part along an axis that is not divided


def dtype_of(kind: int, name: str) -> np.dtype[Any]:
    """The type that a number means (tensorflow/core/framework/types.proto).

    Raises:
        ValueError: it is none of numbers; the message has the array's name.
    """
    if kind == _BFLOAT16:
        import tensorflow.compat.v1 as tf

        return np.dtype(tf.bfloat16.as_numpy_dtype)
    if kind not in _TYPES:
        raise BadValue(f"{name} is no array of numbers")
    return np.dtype(_TYPES[kind])


def shape_in(content: bytes, name: str) -> tuple[int, ...]:
    """The shape in a TensorShapeProto.

    Raises:
        ValueError: nothing can have it; the message has the array's name.
    """
    shape = tuple(_signed(numbers_in(dim).get(1, 0)) for dim in messages_in(content, 2))
    if any(not 0 <= length < 2**48 for length in shape):
        raise BadValue(f"{name} has the shape {list(shape)}")
    return shape


def extents_in(content: bytes) -> Extents:
    """Those in a TensorSliceProto."""
    extents = map(numbers_in, messages_in(content, 1))
    return tuple((_signed(numbers.get(1, 0)), _signed(numbers.get(2, _WHOLE))) for numbers in extents)


def _signed(number: int) -> int:
    return number - 2**64 if number >= 2**63 else number


def assembled(
    name: str, shape: tuple[int, ...], dtype: np.dtype[Any], parts: Iterable[tuple[Extents, np.ndarray]]
) -> np.ndarray:
    """An array of its parts.

    Args:
        name: of it.
        shape: of it; `check_claim` has seen it.
        dtype: of it.
        parts: each with its place; the numbers of one `[count]`, or in its shape.

    Raises:
        ValueError: a part is not as large as its place, or no part has some of the numbers.
    """
    result = aligned_array(shape, dtype)
    missing = np.ones(shape, bool)
    for extents, numbers in parts:
        places = extents or ((0, _WHOLE),) * len(shape)
        place = tuple(slice(first, None if size == _WHOLE else first + size) for first, size in places)
        if len(place) != len(shape) or result[place].size != numbers.size or numbers.dtype != dtype:
            raise BadValue(f"a part of {name} {list(shape)} is not as large as its place")
        result[place], missing[place] = numbers.reshape(result[place].shape), False
    if missing.any():
        raise BadValue(f"{name} {list(shape)} is not there as a whole")
    return result
