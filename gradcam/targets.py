"""What is explained: a direction in the output. A class, its opposite, a difference, a region of a map, any vector.

An explanation is of the sum of the outputs times a direction, one direction an image. A class is the direction that is
1 at the class and 0 elsewhere; all others are made of these. NumPy.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Callable, Sequence

import numpy as np

from slim_models.labels import Labels, class_name
from slim_models.mistakes import BadValue, UnknownName

Class = int | str  # an index, a WordNet id or a name


@dataclasses.dataclass(frozen=True)
class Opposite:
    """What speaks against a class: minus its direction; as a word, the class with a minus before it.

    Attributes:
        of: the class.
    """

    of: Class


@dataclasses.dataclass(frozen=True)
class Difference:
    """What makes it one class rather than another: the class's direction less the other's.

    Attributes:
        target: the class.
        against: the other class, or several, whose mean is subtracted.
    """

    target: Class
    against: Class | tuple[Class, ...]

    @property
    def rivals(self) -> tuple[Class, ...]:
        """The other classes, however many."""
        return self.against if isinstance(self.against, tuple) else (self.against,)


@dataclasses.dataclass(frozen=True, eq=False)
class Region:
    """A class in a part of an output that is a map, as segmentation has it: a mask times the class.

    Seg-Grad-CAM, Vinogradova et al. 2020 (arXiv 2002.11434): y is the sum of the class's logits over a set of pixels.

    Attributes:
        target: the class.
        mask: `[h, w]` of the output, the weight of each place: true or 1 within the region.
    """

    target: Class
    mask: np.ndarray

    @classmethod
    def of_box(cls, target: Class, box: Sequence[float], size: Sequence[int]) -> Region:
        """A class in a rectangle of the picture.

        Args:
            target: the class.
            box: left, top, right and bottom, as shares of the picture's width and height.
            size: h and w of the output; a place counts by how much of it is within.

        Raises:
            ValueError: the box is not within the picture, or empty.
        """
        if not is_box(box):
            raise BadValue(f"a region is left,top,right,bottom, shares of the picture from 0 to 1, not {list(box)}")
        left, top, right, bottom = box
        return cls(target, np.outer(_within(top, bottom, size[0]), _within(left, right, size[1])))


@dataclasses.dataclass(frozen=True, eq=False)
class Direction:
    """Any direction; of an embedding, the one that likeness to it is measured along.

    Attributes:
        vector: `[C]`, or `[h, w, C]` of an output that is a map.
    """

    vector: np.ndarray


Target = Class | Opposite | Difference | Region | Direction
Asked = int | Opposite | Difference | Region | Direction  # with classes by index


def asked(target: Target, index: Callable[[Class], int]) -> Asked:
    """A target as it is meant, its classes by index.

    Args:
        target: as users say it; a word with a minus before it, which is no class's name, is the opposite of one.
        index: of a class, as `Explainer.index`.

    Raises:
        KeyError, ValueError: as `index`; or a class against itself.
    """
    if isinstance(target, Opposite):
        return Opposite(index(target.of))
    if isinstance(target, Region):
        return Region(index(target.target), np.asarray(target.mask))
    if isinstance(target, Direction):
        return Direction(np.asarray(target.vector))
    if isinstance(target, Difference):
        return _difference(index(target.target), tuple(dict.fromkeys(map(index, target.rivals))))
    if isinstance(target, str) and target.startswith("-"):
        try:
            return index(target)
        except UnknownName:
            return Opposite(index(target[1:].lstrip()))
    return index(target)


def _difference(target: int, rivals: tuple[int, ...]) -> Difference:
    if target in rivals or not rivals:
        raise BadValue(f"class {target} cannot be told from itself: a difference is between two classes")
    return Difference(target, rivals)


def subject(target: Asked) -> int:
    """The class that a target is about: of a vector, the one of its largest number."""
    if isinstance(target, Opposite):
        return int(target.of)
    if isinstance(target, (Difference, Region)):
        return int(target.target)
    if isinstance(target, Direction):
        return int(target.vector.reshape(-1, target.vector.shape[-1]).sum(axis=0).argmax())
    return target


def is_box(numbers: Sequence[float]) -> bool:
    """Whether they are left, top, right and bottom of a part of the picture, in shares of it."""
    if len(numbers) != 4:
        return False
    left, top, right, bottom = numbers
    return 0 <= left < right <= 1 and 0 <= top < bottom <= 1


def _within(first: float, last: float, places: int) -> np.ndarray:
    """How much of each of so many places side by side lies between two shares of the way: `[places]` in [0, 1]."""
    edges = np.arange(places + 1) / places
    return np.clip((np.minimum(edges[1:], last) - np.maximum(edges[:-1], first)) * places, 0, 1)


def directions(targets: Sequence[Asked], shape: Sequence[int | None]) -> np.ndarray:
    """The directions of N targets in an output.

    Args:
        targets: N of them, from `asked`.
        shape: of one image's output: `[C]`, or `[h, w, C]` of a map, h and w None where they are not known.

    Returns:
        float32 `[N, *shape]`.

    Raises:
        ValueError: a mask or a vector that does not fit the output, is not finite, or is zero everywhere.
    """
    return np.stack([_direction(target, shape) for target in targets])


def _direction(target: Asked, shape: Sequence[int | None]) -> np.ndarray:
    if isinstance(target, Direction):
        return _checked(target.vector, shape, "the vector")
    if isinstance(target, Region):
        if len(shape) == 1:
            raise BadValue("there are no regions in the output of a classifier, which is [N, C]")
        mask = _checked(target.mask, shape[:-1], "the mask")
        return mask[..., None] * one_hot(subject(target), shape)
    direction = one_hot(subject(target), shape)
    if isinstance(target, Opposite):
        return -direction
    if isinstance(target, Difference):
        return direction - np.mean([one_hot(int(rival), shape) for rival in target.rivals], axis=0, dtype=np.float32)
    if None in shape:
        raise BadValue(f"the output is a map of unknown size, {text_of(shape)}: give a Region of it")
    return direction


def one_hot(index: int, shape: Sequence[int | None]) -> np.ndarray:
    """1 at a class, everywhere in a map of known size: float32 `[*shape]`, or `[C]` where the size is not known."""
    known = [size for size in shape if size is not None]
    direction = np.zeros(known if len(known) == len(shape) else known[-1:], np.float32)
    direction[..., index] = 1
    return direction


def _checked(array: np.ndarray, shape: Sequence[int | None], what: str) -> np.ndarray:
    if array.dtype.kind not in "bfiu" or not np.isfinite(array).all():
        raise BadValue(f"{what} of a target must be finite numbers, not {array.dtype}")
    fits = array.ndim == len(shape) and all(size in (None, own) for own, size in zip(array.shape, shape))
    if not fits or not array.any():
        found = "zero everywhere" if fits else text_of(array.shape)
        raise BadValue(f"{what} of a target must be {text_of(shape)}, as the output is, not {found}")
    return array.astype(np.float32)


def text_of(shape: Sequence[int | None]) -> str:
    """A shape in words: `[?, ?, 21]`."""
    return f"[{', '.join('?' if size is None else str(size) for size in shape)}]"


def classes(target: Asked) -> list[int]:
    """The classes that a target is about: its own, and those that it is told from."""
    return [subject(target), *(map(int, target.rivals) if isinstance(target, Difference) else ())]


def title(target: Asked, labels: Labels | None) -> str:
    """What a target is called: `tabby`, `not espresso`, `tabby rather than tiger cat`."""
    name = class_name(subject(target), labels)
    if isinstance(target, Opposite):
        return f"not {name}"
    if isinstance(target, Difference):
        return f"{name} rather than {' or '.join(class_name(int(rival), labels) for rival in target.rivals)}"
    return f"{name} in a region" if isinstance(target, Region) else name


def file_name(target: Asked, labels: Labels | None) -> str:
    """What a target is called as a part of a file's name: `tabby`, `not_espresso`, `tabby_not_tiger_cat`."""

    def word(index: Class) -> str:
        return labels.file_name(int(index)) if labels else f"class_{index}"

    if isinstance(target, Opposite):
        return f"not_{word(target.of)}"
    if isinstance(target, Difference):
        return "_not_".join(map(word, (target.target, *target.rivals)))
    return f"{word(target.target)}_in_a_region" if isinstance(target, Region) else word(subject(target))


def told(target: Asked) -> dict[str, object]:
    """What files say of a target, beside the class that it is about; nothing of a class itself."""
    if isinstance(target, Opposite):
        return {"opposite": True}
    if isinstance(target, Difference):
        return {"against": [int(rival) for rival in target.rivals]}
    if isinstance(target, Region):
        mask = np.ascontiguousarray(target.mask, np.float32)
        return {"region": hashlib.sha256(mask.tobytes() + str(mask.shape).encode()).hexdigest()[:16]}
    return {}
