"""A picture with its class and boxes, whatever data set it is of."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterable, Mapping

import numpy as np

from gradcam.boxes import Box, area
from slim_models.mistakes import BadValue


@dataclasses.dataclass(frozen=True, eq=False, slots=True)
class Example:
    """A picture of a data set, with a class that it shows.

    Attributes:
        name: unique in its data set, `"val_0.JPEG"`.
        target: the class as `Explainer.index` takes it: a WordNet id, a name or an index.
        boxes: around what is of that class, in pixels of the picture, half open: (0, 0, 64, 64) is the whole
            of a 64 x 64 picture; none where the data set has none.
        read: reads the picture, uint8 `[H, W, 3]`, RGB; several threads may call it, and nothing is kept.
        others: the other classes that the picture shows, each an example of its own, and the boxes around them.
        is_first: whether it is the first example of its picture.
        difficult: whether the pointing game is hard, as of `is_difficult`; None where that is not known.
        mask: makes the pixels of the class, bool `[H, W]`; None where the data set has boxes alone.
    """

    name: str
    target: str | int
    boxes: tuple[Box, ...]
    read: Callable[[], np.ndarray]
    others: Mapping[str, tuple[Box, ...]] = dataclasses.field(default_factory=dict)
    is_first: bool = True
    difficult: bool | None = None
    mask: Callable[[], np.ndarray] | None = None


def is_difficult(boxes: Iterable[Box], others: Iterable[str], size: tuple[int, int]) -> bool:
    """Whether the pointing game is hard: the class has less than a quarter of the picture, and others are there.

    The difficult subset of Zhang et al. 2016 (arXiv 1608.00507), sec. 4.1; of the boxes the areas are added up.

    Args:
        boxes: of the class.
        others: the other classes.
        size: width and height of the picture.
    """
    return 4 * sum(area(box) for box in boxes) < size[0] * size[1] and any(True for _ in others)


def half_open(first: tuple[float, float], last: tuple[float, float], size: tuple[float, float] | None = None) -> Box:
    """A box whose last pixels belong to it -> `Box`, clipped to the picture.

    Args:
        first: x and y of the first pixel, from 0.
        last: x and y of the last pixel.
        size: width and height of the picture; None does not clip at the right and the bottom.

    Returns:
        The box, half open.

    Raises:
        ValueError: no pixel of the picture is in it, or a side is not finite.
    """
    width, height = size or (math.inf, math.inf)
    try:
        x0, y0, x1, y1 = map(float, (*first, *last))
    except OverflowError:  # a whole number of hundreds of digits
        x0, y0, x1, y1 = (math.inf,) * 4
    if not all(map(math.isfinite, (x0, y0, x1, y1))):
        raise BadValue("a side of the box is not finite")
    box = (max(x0, 0.0), max(y0, 0.0), min(x1 + 1, width), min(y1 + 1, height))
    if not (box[0] < box[2] and box[1] < box[3]):
        where = f" in a picture of {width:g} x {height:g}" if size else ""
        raise BadValue(f"the box from pixel ({x0:g}, {y0:g}) to pixel ({x1:g}, {y1:g}) is empty{where}")
    return box


def unique(names: Iterable[str]) -> list[str]:
    """The names, later ones of a kind numbered: a, b, a, a -> a, b, a#2, a#3."""
    result: dict[str, None] = {}
    for name in names:
        number, candidate = 1, name
        while candidate in result:
            number += 1
            candidate = f"{name}#{number}"
        result[candidate] = None
    return list(result)
