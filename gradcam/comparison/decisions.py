"""The decisions that a network takes for a picture: which ReLUs are open, and where maxima are.

Activations change smoothly with rounding; gradients jump where a decision falls the other way.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import tensorflow.compat.v1 as tf

from slim_models.network import Network
from slim_models.relu_gradients import MARKS, operations_between

_OPEN = 1e-30  # opens a ReLU, and disturbs nothing


class Tie(NamedTuple):
    """A decision close to a tie, and what makes it fall the other way.

    Attributes:
        operation: name of the ReLU or of the max pooling.
        place: index of the unit in its layer, (y, x, channel) or (channel,); for a maximum, of the runner-up.
        margin: distance from the tie, over the root mean square of the layer.
        tensor: the activations that decide the gradient.
        value: that turns the decision if it is put at `place` of `tensor`.
    """

    operation: str
    place: tuple[int, ...]
    margin: float
    tensor: tf.Tensor
    value: float


def deciding_operations(network: Network) -> list[tf.Operation]:
    """The ReLUs and max poolings between a network's images and its logits, in forward order."""
    between = operations_between(network.images, network.logits)
    return [op for op in network.graph.get_operations() if op in between and (op.type in MARKS or _is_choice(op))]


def _is_choice(op: tf.Operation) -> bool:
    return op.type == "MaxPool" and max(op.get_attr("ksize")) > 1


def find_ties(network: Network, inputs: Mapping[tf.Operation, np.ndarray], rounding: float) -> list[Tie]:
    """The decisions that rounding may turn.

    Args:
        network: whose decisions they are.
        inputs: what each of `deciding_operations` is given for one picture, `[1, h, w, K]` or `[1, K]`.
        rounding: how far from a tie, over the root mean square of the operation's input, counts.

    Returns:
        The ties, nearest first.
    """
    found: dict[tuple, Tie] = {}
    for tie in sorted(
        (t for op, array in inputs.items() for t in _ties(op, array[0], rounding)), key=lambda t: t.margin
    ):
        # Overlapping windows can have the same two numbers: what turns one turns the other.
        found.setdefault((tie.operation, tie.place, tie.value), tie)
    return list(found.values())


def _ties(op: tf.Operation, array: np.ndarray, rounding: float) -> list[Tie]:
    scale = float(np.sqrt(np.mean(np.square(array, dtype=np.float64)))) or 1.0
    if op.type == "MaxPool":
        return _pooling_ties(op, array, rounding * scale, scale)
    places = np.argwhere(np.abs(array) <= rounding * scale)
    values = [float(array[tuple(place)]) for place in places]
    return [
        Tie(op.name, tuple(place), abs(value) / scale, op.outputs[0], 0.0 if value > 0 else _OPEN)
        for place, value in zip(places.tolist(), values)
    ]


def _pooling_ties(op: tf.Operation, array: np.ndarray, distance: float, scale: float) -> list[Tie]:
    """Windows whose two largest numbers are that close; those near zero are their ReLU's decision."""
    windows, places = _windows(op, array)
    order = np.argsort(-windows, axis=0, kind="stable")[:2]  # the first of equals wins
    first, second = np.take_along_axis(windows, order, axis=0)
    result = []
    for window in np.argwhere((first - second <= distance) & (first > distance)):
        index = tuple(window)
        y, x = places[order[1][index]][:, index[0], index[1]]
        winning = float(np.nextafter(first[index], np.inf))
        margin = float(first[index] - second[index]) / scale
        result.append(Tie(op.name, (int(y), int(x), int(index[2])), margin, op.inputs[0], winning))
    return result


def _windows(op: tf.Operation, array: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """What a max pooling chooses from.

    Returns:
        The numbers, `[n, h, w, K]` for windows of n, -inf outside the picture, and their rows and columns
        in `array`, `[n, 2, h, w]`.
    """
    size, stride = op.get_attr("ksize")[1], op.get_attr("strides")[1]
    height, width = op.outputs[0].shape.as_list()[1:3]
    rows, columns = (np.arange(count) * stride for count in (height, width))
    if op.get_attr("padding") == b"SAME":
        rows = rows - max(rows[-1] + size - array.shape[0], 0) // 2
        columns = columns - max(columns[-1] + size - array.shape[1], 0) // 2
    offsets = np.stack(np.divmod(np.arange(size * size), size), axis=1)
    places = np.stack([np.stack(np.meshgrid(rows + y, columns + x, indexing="ij")) for y, x in offsets])
    inside = ((places >= 0) & (places < np.array(array.shape[:2]).reshape(1, 2, 1, 1))).all(axis=1)
    y, x = np.where(np.expand_dims(inside, 1), places, 0).transpose(1, 0, 2, 3)
    return np.where(np.expand_dims(inside, -1), array[y, x], -np.inf), places
