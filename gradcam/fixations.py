"""CNN-Fixations: the places of a picture that a class is traced back to, layer by layer; NumPy and OpenCV.

Mopuri et al. 2018 (arXiv 1708.06670), sec. III: no gradient, only which input of a unit adds most to it.

- A fully connected unit is traced to all the units below that add to it (value times weight > 0); the first one above a
  map to the one place and channel that adds most.
- A unit of a convolution is traced to the channel that adds most to it, summed over its window: at the window's centre,
  as in the authors' code for VGG, or at the channel's greatest value in the window, as in their code for ResNets.
- A pooled unit is traced to the greatest value of its window; one of a sum, as in a ResNet, to the greater summand;
  what works on every number by itself passes it on.

A unit below 0, as linear layers have them, is traced to what makes it low: its sign goes with it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Sequence

import cv2
import numpy as np

Index = tuple[int, ...]  # of a unit of one picture's tensor, without the axis of pictures
Point = tuple[Index, int]  # a unit, and whether it counts for being high (1) or for being low (-1)


@dataclasses.dataclass(frozen=True)
class Window:
    """Where the units of a convolution or pooling look, along both axes.

    Attributes:
        size: of the window.
        strides: from one window to the next.
        before: how far the first window lies outside the map.
        dilations: from one place of a window to the next.
    """

    size: tuple[int, int]
    strides: tuple[int, int]
    before: tuple[int, int]
    dilations: tuple[int, int] = (1, 1)

    def places(self, index: Index) -> list[np.ndarray]:
        """The rows and the columns that the unit of this row and column looks at; some may lie outside the map."""
        parts = zip(index, self.size, self.strides, self.before, self.dilations)
        return [at * stride - before + dilation * np.arange(size) for at, size, stride, before, dilation in parts]

    def centre(self, index: Index, shape: Sequence[int]) -> Index:
        """The middle of a unit's window, within the map."""
        middles = [axis[(len(axis) - 1) // 2] for axis in self.places(index)]
        return tuple(int(np.clip(middle, 0, side - 1)) for middle, side in zip(middles, shape))


@dataclasses.dataclass(frozen=True)
class Step:
    """A layer on the way back: from units of its output to units of its inputs.

    Attributes:
        output: name of the tensor.
        inputs: names of the tensors before it.
        back: a point of the output -> points of the inputs, with the number of the input.
    """

    output: str
    inputs: tuple[str, ...]
    back: Callable[[Point], Iterable[tuple[int, Point]]]


def traced(steps: Iterable[Step], output: str, start: Iterable[Point], images: str) -> list[tuple[int, int]]:
    """The places of the picture that units of the output are traced back to.

    Args:
        steps: from the output back to the picture; each is asked when all its output's points are known.
        output: name of the output's tensor.
        start: its points.
        images: name of the pictures' tensor.

    Returns:
        Rows and columns, each once.
    """
    points: dict[str, dict[Point, None]] = {output: dict.fromkeys(start)}
    for step in steps:
        for point in points.pop(step.output, {}):
            for number, before in step.back(point):
                points.setdefault(step.inputs[number], {})[before] = None
    return sorted({(index[0], index[1]) for index, _ in points.get(images, {})})


def _signed(values: np.ndarray, index: Index) -> Point:
    return index, -1 if values[index] < 0 else 1


def dense(values: np.ndarray, kernel: np.ndarray, point: Point) -> list[Point]:
    """What a fully connected unit is traced to.

    Args:
        values: `[h, w, C]` or `[C]`, of the layer below.
        kernel: `[h, w, C, U]` or `[C, U]`.
        point: whose index ends with the unit, of U.

    Returns:
        All that add to it; of a map of several places the one unit that adds most, if any does.
    """
    index, sign = point
    products = sign * values * kernel[..., index[-1]]
    if products.ndim == 3 and products.shape[:2] != (1, 1):
        most = np.unravel_index(int(products.argmax()), products.shape)
        return [_signed(values, tuple(map(int, most)))] if products[most] > 0 else []
    return [_signed(values, tuple(map(int, place))) for place in np.argwhere(products > 0)]


def convolution(
    values: np.ndarray, kernel: np.ndarray, window: Window, point: Point, at_peak: bool = False
) -> list[Point]:
    """What a unit of a convolution is traced to: the channel that adds most.

    Args:
        values: `[h, w, C]` of the layer below.
        kernel: `[kh, kw, C, U]`.
        window: of the convolution.
        point: row, column and channel.
        at_peak: whether it is traced to the channel's greatest value in the window, not to the window's centre.
    """
    (row, column, unit), sign = point
    rows, columns = window.places((row, column))
    inside = [(axis >= 0) & (axis < side) for axis, side in zip((rows, columns), values.shape)]
    seen = values[np.ix_(rows[inside[0]], columns[inside[1]])]
    adds = sign * (seen * kernel[..., unit][np.ix_(*inside)]).sum(axis=(0, 1))
    channel = int(adds.argmax())
    if at_peak:
        return pooling(values, window, ((row, column, channel), 1))
    return [_signed(values, (*window.centre((row, column), values.shape), channel))]


def depthwise(
    values: np.ndarray, kernel: np.ndarray, window: Window, point: Point, at_peak: bool = False
) -> list[Point]:
    """What a unit of a depthwise convolution, of `[kh, kw, C, M]`, is traced to: its own channel, as `convolution`."""
    (row, column, unit), _ = point
    channel = unit // kernel.shape[3]
    if at_peak:
        return pooling(values, window, ((row, column, channel), 1))
    return [_signed(values, (*window.centre((row, column), values.shape), channel))]


def pooling(values: np.ndarray, window: Window, point: Point) -> list[Point]:
    """What a pooled unit is traced to: the value in its window that makes it most what it is, by maximum or mean."""
    (row, column, channel), sign = point
    rows, columns = (
        axis[(axis >= 0) & (axis < side)] for axis, side in zip(window.places((row, column)), values.shape)
    )
    seen = sign * values[np.ix_(rows, columns)][..., channel]
    most = np.unravel_index(int(seen.argmax()), seen.shape)
    return [_signed(values, (int(rows[most[0]]), int(columns[most[1]]), channel))]


def greatest(values: Sequence[np.ndarray], point: Point) -> tuple[int, Point]:
    """Which summand a unit of a sum is traced to: the one that makes it most what it is."""
    index, sign = point
    number = int(np.argmax([sign * array[index] for array in values]))
    return number, _signed(values[number], index)


def without_outliers(points: np.ndarray, size: tuple[int, int], share: float = 0.05, near: float = 0.1) -> np.ndarray:
    """The fixations that have others about them (sec. III-D).

    Args:
        points: `[n, 2]`, rows and columns.
        size: (height, width) of the picture.
        share: of all fixations that must lie near one, more than which are, itself among them.
        near: how far that is, as a share of the picture's diagonal.

    Returns:
        `[m, 2]`.
    """
    if not len(points):
        return points
    distances = np.hypot(*(points[:, None] - points[None]).transpose(2, 0, 1))
    return points[(distances < near * np.hypot(*size)).sum(axis=1) > share * len(points)]


def density(points: np.ndarray, size: tuple[int, int], sigma: float = 0.09) -> np.ndarray:
    """The map of fixations: a Gaussian at each (sec. III-D).

    Args:
        points: `[n, 2]`, rows and columns.
        size: (height, width) of the map.
        sigma: standard deviation as a share of the height: 20 pixels of 224, as in the authors' code.

    Returns:
        float32 `[height, width]`, >= 0; zero everywhere without fixations.
    """
    counts = np.zeros(size, np.float32)
    np.add.at(counts, tuple(np.asarray(points, int).reshape(-1, 2).T), 1)
    return cv2.GaussianBlur(counts, (0, 0), sigma * size[0], borderType=cv2.BORDER_CONSTANT)
