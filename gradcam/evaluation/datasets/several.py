"""Pictures that show objects of several classes: an example for each class."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

import numpy as np

from gradcam.boxes import Box
from gradcam.evaluation.datasets.example import Example, is_difficult, unique

Masks = Mapping[str, Callable[[], np.ndarray]]


def examples_of(
    name: str,
    size: tuple[int, int],
    objects: Iterable[tuple[str, Box]],
    read: Callable[[], np.ndarray],
    *,
    without: Iterable[str] = (),
    masks: Masks | None = None,
) -> list[Example]:
    """The examples of one picture.

    Args:
        name: of the picture.
        size: its width and height.
        objects: class and box of each.
        read: reads the picture.
        without: classes that are no examples, and are there all the same.
        masks: class -> makes its pixels, if they are known.

    Returns:
        One for each class, in the order of their first objects, the second named `NAME#2`.
    """
    boxes: dict[str, tuple[Box, ...]] = {}
    for target, box in objects:
        boxes[target] = (*boxes.get(target, ()), box)
    targets = [target for target in boxes if target not in {*without}]
    result = []
    for number, (one, target) in enumerate(zip(unique([name] * len(targets)), targets)):
        others = {other: there for other, there in boxes.items() if other != target}
        difficult = is_difficult(boxes[target], others, size)
        mask = None if masks is None else masks[target]
        result.append(Example(one, target, boxes[target], read, others, number == 0, difficult, mask))
    return result
