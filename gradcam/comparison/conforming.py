"""Which method a map is, and by whose definition: anybody's arrays of one small network beside all of ours."""

from __future__ import annotations

import contextlib
import os
import pathlib
from collections.abc import Iterator, Mapping
from typing import NamedTuple

import numpy as np

import slim_models
from gradcam.comparison.defining import Definition
from gradcam.comparison.definitions import DEFINITIONS
from gradcam.comparison.matching import Likeness, likeness
from gradcam.explainer import Explainer
from gradcam.explanation import Explanation
from gradcam.pictures import SAMPLES, fit_image, write_npz
from slim_models.mistakes import BadValue, MissingFile
from slim_models.weights import random_weights, read_npz

LAYER, TARGET, SIDE = "conv4_3", 3, 64
ABOUT = {
    "network": "VGG16, a sixteenth as wide, for 64 x 64 pixels and 10 classes",
    "preprocessing": "less 123.68, 116.779, 103.939 (RGB), then BGR",
    "layer": f"{LAYER} after its ReLU",
    "target": TARGET,
}
# Of random numbers: ours with another seed differs about as much as somebody's who computes the same.
_BY_CHANCE, _ALIKE = 1.5, 0.9


def weights() -> dict[str, np.ndarray]:
    """Those of the reference: random, the same everywhere, exact in float16; logits are of ordinary size."""
    found = random_weights(_network())
    found["fc8/weights"] = found["fc8/weights"] * np.float32(0.1)
    return {name: array.astype(np.float16).astype(np.float32) for name, array in found.items()}


def picture() -> np.ndarray:
    """The picture of the reference, uint8 `[64, 64, 3]`."""
    return np.rint(fit_image(SAMPLES["chelsea"](), (SIDE, SIDE))).astype(np.uint8)


def _network() -> slim_models.Network:
    return slim_models.build("vgg16", image_size=SIDE, width_divisor=16, num_classes=10)


@contextlib.contextmanager
def explained() -> Iterator[Explanation]:
    """The reference's picture, explained at `LAYER` for `TARGET`, with every ReLU rule; more runs while it lasts."""
    with Explainer(_network(), weights(), layers=[LAYER], rules=list(slim_models.RULES)) as explainer:
        yield explainer.explain(picture()[None], TARGET)


def write_reference(path: str | os.PathLike) -> pathlib.Path:
    """Writes what somebody needs to make the maps: weights by name, the picture, its logits, and the layer's arrays."""
    with explained() as one:
        arrays = {
            **{f"weights/{name}": array.astype(np.float16) for name, array in weights().items()},
            "image": picture(),
            "logits": one.logits[0],
            "activations": one.activations[LAYER][0],
            "gradients": one.gradients[LAYER][0],
        }
    path = pathlib.Path(path)
    write_npz(path, arrays, ABOUT)
    return path


class Match(NamedTuple):
    """What an array is likest to.

    Attributes:
        definition: of ours or others.
        likeness: to it.
        by_chance: of random methods the difference between two of ours, with two seeds; 0 of the others.
    """

    definition: Definition
    likeness: Likeness
    by_chance: float = 0.0

    @property
    def exactly(self) -> bool:
        """Whether it is that map but for rounding."""
        return self.likeness.difference <= self.definition.tolerance

    @property
    def agrees(self) -> bool:
        """Whether it is that map but for rounding, or for random numbers."""
        return self.exactly or (
            self.likeness.difference <= _BY_CHANCE * self.by_chance and self.likeness.correlation >= _ALIKE
        )

    @property
    def verdict(self) -> str:
        """In a few words."""
        if not self.agrees:
            return "computes something else"
        if self.definition.says:
            return "another definition"
        if self.by_chance:
            return "agrees but for random numbers"
        return "agrees after an affine map or resizing" if self.likeness.fitted or self.likeness.how else "agrees"

    def __str__(self) -> str:
        definition, found = self.definition, self.likeness
        name = f"{definition.method}{' ' * bool(definition.says)}{definition.says}"
        done = ", ".join([found.how] * bool(found.how) + ["scaled"] * found.fitted)
        return (
            f"{self.verdict}: {name}{f' ({done})' if done else ''}; largest difference {found.difference:.1e} of the "
            f"peak, correlation {found.correlation:.6f}, rank correlation {found.rank:.6f}"
        )


class Candidates:
    """The maps of all definitions of one explanation, each made once."""

    def __init__(self, one: Explanation):
        self._one = one
        self._made: dict[Definition, np.ndarray] = {}
        self._chance: dict[Definition, float] = {}

    def of(self, definition: Definition) -> np.ndarray:
        """`[h, w]`, or `[H, W, 3]`."""
        if definition not in self._made:
            self._made[definition] = definition.make(self._one)
        return self._made[definition]

    def match(self, theirs: np.ndarray, definition: Definition) -> Match | None:
        """How like a definition's map an array is; None where their shapes have nothing to do with each other."""
        try:
            found = likeness(theirs, self.of(definition), definition.tolerance)
        except BadValue:
            return None
        return Match(definition, found, self._by_chance(definition))

    def _by_chance(self, definition: Definition) -> float:
        if definition.again is None:
            return 0.0
        if definition not in self._chance:
            own = self.of(definition)
            self._chance[definition] = float(np.abs(definition.again(self._one) - own).max() / np.abs(own).max())
        return self._chance[definition]


def identify(theirs: np.ndarray, candidates: Candidates, method: str | None = None) -> Match:
    """What an array is: of all definitions that agree the first, or else the likest.

    Args:
        theirs: `[h, w]` or `[H, W, 3]`, with or without a 1 before or behind it.
        candidates: of the picture that it is of.
        method: only the definitions of one method, by its name in the registry; None is all.

    Raises:
        ValueError: it is no map, or of a shape that no method makes.
    """
    array = _as_map(theirs)
    found = []
    for definition in DEFINITIONS:
        if method in (None, definition.method) and (match := candidates.match(array, definition)) is not None:
            found.append(match)
    if not found:
        raise BadValue(f"no method makes maps {list(np.shape(theirs))}: give [h, w] of the layer or of the picture")
    agreeing = [match for match in found if match.exactly] or [match for match in found if match.agrees]
    return agreeing[0] if agreeing else max(found, key=lambda match: np.nan_to_num(match.likeness.correlation, nan=-1))


def _as_map(array: np.ndarray) -> np.ndarray:
    array = np.asarray(array)
    if array.dtype.kind not in "fiu" or not array.size or not np.isfinite(array).all():
        raise BadValue(f"a map must be finite numbers, not {array.dtype} {list(array.shape)}")
    array = array[0] if array.ndim > 2 and array.shape[0] == 1 else array
    array = array[..., 0] if array.ndim == 3 and array.shape[-1] == 1 else array
    if array.ndim not in (2, 3):
        raise BadValue(f"a map must be [h, w] or [H, W, 3], not {list(array.shape)}")
    return array


def conformance(path: str | os.PathLike) -> dict[str, Match | BadValue]:
    """What each array in a file is: name -> the match, or why there is none.

    Args:
        path: of an npz with maps of the reference's picture.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is no npz, or there is nothing in it.
    """
    arrays = _read(pathlib.Path(path))
    found: dict[str, Match | BadValue] = {}
    with explained() as one:
        candidates = Candidates(one)
        for name, array in arrays.items():
            try:
                found[name] = identify(array, candidates)
            except BadValue as error:
                found[name] = error
    return found


def _read(path: pathlib.Path) -> dict[str, np.ndarray]:
    if not path.is_file():
        raise MissingFile(f"no maps at {path}")
    arrays = read_npz(path)
    if not arrays:
        raise BadValue(f"{path} holds no maps")
    return arrays


def said(found: Mapping[str, Match | BadValue]) -> str:
    """A line for each array, as of `conformance`."""
    width = max(map(len, found))
    return "\n".join(f"{name:{width}s}  {match}" for name, match in found.items())
