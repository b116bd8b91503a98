"""Numbers of pixels, classes and channels as users give them."""

from __future__ import annotations

import operator
from typing import Any

import numpy as np

from slim_models.mistakes import BadValue

Size = int | tuple[int, int]  # of both sides, or (height, width), in pixels


def whole_number(value: Any) -> int:
    """A count, such as of pixels or classes, as Python's int; 0 of what is none, a bool among them."""
    try:
        return 0 if isinstance(value, (bool, np.bool_)) else operator.index(value)
    except TypeError:
        return 0


def height_and_width(size: Any, name: str = "a size") -> tuple[int, int]:
    """Both sides in pixels, of a `Size`.

    Args:
        size: as the user gives it.
        name: of it, for the message.

    Raises:
        ValueError: it is no such size.
    """
    given = size if isinstance(size, (tuple, list, np.ndarray)) else (size, size)
    sides = [whole_number(side) for side in given]
    if len(sides) != 2 or min(sides) < 1:
        raise BadValue(f"{name} must be a positive whole number of pixels, or (height, width) in pixels, not {size!r}")
    return sides[0], sides[1]
