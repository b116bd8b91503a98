"""Pictures of the user's own, by which a preprocessing is told."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from slim_models.labels import Labels, class_index, labels_for
from slim_models.loading.passes import Say
from slim_models.mistakes import BadValue, UnknownName

Example = tuple[np.ndarray, "int | str | None"]


class Examples(NamedTuple):
    """The user's pictures.

    Attributes:
        known: pictures `[h, w, 3]`, RGB in [0, 255], and their classes.
        unknown: the first of those whose class is not known; None if there is none.
        labels: of the network's classes, if they are known.
    """

    known: Sequence[tuple[np.ndarray, int]]
    unknown: np.ndarray | None
    labels: Labels | None


def settled(given: Sequence[Example], num_classes: int, labels: Labels | None, say: Say) -> Examples:
    """The user's pictures with the indices of their classes.

    Args:
        given: pictures, `[h, w, 3]`, RGB in [0, 255], and their classes by index, name or WordNet id, or None.
        num_classes: C.
        labels: of the classes. Where there are none and the examples have C names, the classes are these in order of
            name, as Keras numbers the folders that it trains on.
        say: is told of that.

    Raises:
        KeyError: a name of no class or of several.
        ValueError: something is no such picture, or a class out of range.
    """
    for picture, _ in given:
        if np.ndim(picture) != 3 or np.shape(picture)[2] != 3:
            raise BadValue(f"an example is a picture [h, w, 3] and its class, not an array {list(np.shape(picture))}")
    words = sorted({str(target) for _, target in given if target is not None})
    if labels is None and len(words) == num_classes and not all(word.isdecimal() for word in words):
        say(f"labels: {', '.join(words)} (guessed: the examples' classes, in order of name as Keras numbers them)")
        labels = labels_for(words, num_classes)
    unknown = next((_pixels(picture) for picture, target in given if target is None), None)
    known = [(_pixels(p), _index(t, num_classes, labels, words)) for p, t in given if t is not None]
    return Examples(known, unknown, labels)


def _pixels(picture: Any) -> np.ndarray:
    return np.asarray(picture, np.float32)


def _index(target: int | str, num_classes: int, labels: Labels | None, words: Sequence[str]) -> int:
    if labels is None and not str(target).isdecimal():
        raise UnknownName(
            f"the examples have {len(words)} classes ({', '.join(words[:5])}{', ...' * (len(words) > 5)}) and the "
            f"network {num_classes}, whose names are not known: name them by index, or give labels"
        )
    return class_index(target, num_classes, labels)
