"""Whether two maps are the same but for a scale, an offset, a reduction of channels or an enlargement; NumPy."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Iterator

import numpy as np

from gradcam.comparison.agreement import correlation
from slim_models.mistakes import BadValue

AGREES = 1e-4  # largest difference over the peak of what is the same but for rounding
# Of signed maps [H, W, C]: how others make [H, W] of them.
REDUCTIONS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "greatest absolute value of the channels": lambda array: np.abs(array).max(axis=-1),
    "mean of the channels": lambda array: array.mean(axis=-1),
    "mean absolute value of the channels": lambda array: np.abs(array).mean(axis=-1),
    "greatest value of the channels": lambda array: array.max(axis=-1),
    "length over the channels": lambda array: np.sqrt((array**2).sum(axis=-1)),
}


@dataclasses.dataclass(frozen=True, eq=False)
class Likeness:
    """How like ours theirs is.

    Attributes:
        how: what was done to ours, in words; empty for nothing.
        fitted: whether ours was then scaled or shifted too.
        theirs: `[h, w]` or `[H, W, C]`.
        ours: of the same shape, after all that.
    """

    how: str
    fitted: bool
    theirs: np.ndarray
    ours: np.ndarray

    @functools.cached_property
    def difference(self) -> float:
        """The largest one, over the peak of theirs."""
        return float(np.abs(self.ours - self.theirs).max() / self._peak)

    @functools.cached_property
    def correlation(self) -> float:
        """Pearson's; NaN where either is constant."""
        return correlation(self.ours, self.theirs)

    @property
    def rank(self) -> float:
        """Spearman's rank correlation, of values that differ by more than rounding; NaN where either is constant."""
        from scipy import stats  # half a second, which only comparisons need

        return correlation(*(stats.rankdata(np.round(array / self._peak, 7)) for array in (self.ours, self.theirs)))

    @property
    def _peak(self) -> float:
        return float(np.abs(self.theirs).max()) or 1.0


def likeness(theirs: np.ndarray, ours: np.ndarray, tolerance: float = AGREES) -> Likeness:
    """The least that has to be done to ours to make it theirs, and how like it is then.

    Args:
        theirs: `[h, w]` or `[H, W, C]`, of any scale.
        ours: `[h, w]`, or `[H, W, C]` of which theirs may be a reduction.
        tolerance: largest difference, over the peak of theirs, of what agrees.

    Returns:
        Of the first way that agrees, or else of the one after which they correlate best.

    Raises:
        ValueError: they have shapes that nothing brings together.
    """
    theirs, found = np.float64(theirs), []
    for how, array in _ways(np.float64(ours), theirs.shape):
        found += [Likeness(how, False, theirs, array), Likeness(how, True, theirs, _fitted(theirs, array))]
        for one in found[-2:]:
            if one.difference <= tolerance:
                return one
    if not found:
        raise BadValue(f"a map {list(theirs.shape)} cannot be held against one of {list(np.shape(ours))}")
    return max(found, key=lambda one: -np.inf if np.isnan(one.correlation) else one.correlation)


def _ways(ours: np.ndarray, shape: tuple[int, ...]) -> Iterator[tuple[str, np.ndarray]]:
    """Ours in a shape, in the ways that there are, with what was done in words."""
    if ours.shape == shape:
        yield "", ours
        if ours.ndim == 3:
            yield "absolute values", np.abs(ours)
    elif ours.ndim == 3 and ours.shape[:2] == shape[:2]:
        for name, reduce in REDUCTIONS.items():
            yield name, reduce(ours)
    elif ours.ndim == len(shape) == 2:
        for name in RESIZINGS:
            yield f"enlarged, {name}", resized(ours, (shape[0], shape[1]), name)


def _fitted(theirs: np.ndarray, ours: np.ndarray) -> np.ndarray:
    """a * ours + b, a > 0, that is nearest to theirs."""
    centred = ours - ours.mean()
    power = float((centred**2).sum())
    scale = max(float((centred * (theirs - theirs.mean())).sum()) / power, 0.0) if power else 0.0
    return scale * centred + theirs.mean()


def resized(array: np.ndarray, size: tuple[int, int], name: str) -> np.ndarray:
    """A map `[h, w]` at another size, as one of `RESIZINGS` does it."""
    rows, columns = (RESIZINGS[name](length, into) for length, into in zip(array.shape, size))
    return rows @ array @ columns.T


def _linear(distance: np.ndarray) -> np.ndarray:
    return np.maximum(1 - np.abs(distance), 0)


def _cubic(distance: np.ndarray, a: float) -> np.ndarray:
    """Keys 1981, the cubic convolution kernel."""
    x = np.abs(distance)
    near = ((a + 2) * x - (a + 3)) * x * x + 1
    far = ((a * x - 5 * a) * x + 8 * a) * x - 4 * a
    return np.where(x <= 1, near, np.where(x < 2, far, 0))


def _nearest(distance: np.ndarray) -> np.ndarray:
    return np.float64((distance >= -0.5) & (distance < 0.5))


def _matrix(
    length: int, into: int, kernel: Callable[[np.ndarray], np.ndarray], corners: bool = False, edge: str = "repeated"
) -> np.ndarray:
    """What an enlargement does to one axis, `[into, length]`.

    Args:
        length: h.
        into: H.
        kernel: what a place weighs at a distance.
        corners: whether the first and last places lie on each other, in place of the maps' edges.
        edge: what is beyond the edge: the last place `repeated`, the others `mirrored` about it, or `nothing`, the rest
            being scaled up.
    """
    places = np.arange(into) * (length - 1) / max(into - 1, 1) if corners else (np.arange(into) + 0.5) * length / into
    places = places if corners else places - 0.5
    taps = np.arange(-3, length + 3)
    weights = kernel(places[:, None] - taps)
    if edge == "mirrored":
        inside = (length - 1 - np.abs(length - 1 - np.abs(taps))) % max(length, 1)
    else:
        inside = np.clip(taps, 0, length - 1)
        weights = weights * ((taps == inside) if edge == "nothing" else 1)
    matrix = np.zeros((into, length))
    for tap, column in enumerate(inside):
        matrix[:, column] += weights[:, tap]
    return matrix / matrix.sum(axis=1, keepdims=True)


RESIZINGS: dict[str, Callable[[int, int], np.ndarray]] = {
    "bilinear": functools.partial(_matrix, kernel=_linear),
    "bilinear with corners on corners": functools.partial(_matrix, kernel=_linear, corners=True),
    "bilinear with mirrored edges": functools.partial(_matrix, kernel=_linear, edge="mirrored"),
    "bicubic as TensorFlow's": functools.partial(_matrix, kernel=lambda d: _cubic(d, -0.5), edge="nothing"),
    "bicubic as OpenCV's and PyTorch's": functools.partial(_matrix, kernel=lambda d: _cubic(d, -0.75)),
    "nearest": functools.partial(_matrix, kernel=_nearest),
}
