"""Decisions of a network that rounding may turn: ReLU inputs close to zero, maxima close to their runners-up."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    import tensorflow.compat.v1 as tf

    from slim_models.network import Network

# How far from a tie, over the root mean square of the layer, float32's rounding errors can be in two implementations:
# they grow to some 1e-6 in a deep network.
ROUNDING = 5e-6
_OPEN = 1e-30  # opens a ReLU, and disturbs nothing


class Tie(NamedTuple):
    """A decision close to a tie, and what makes it fall the other way.

    Attributes:
        operation: name of the ReLU or of the max pooling.
        place: index of the unit in its layer, (y, x, channel) or (channel,); for a maximum, of the one that is to win.
        margin: distance from the tie, over the root mean square of the layer.
        tensor: the activations that decide the gradient.
        value: that turns the decision if it is put at `place` of `tensor`.
    """

    operation: str
    place: tuple[int, ...]
    margin: float
    tensor: tf.Tensor
    value: float


class Moves(NamedTuple):
    """What turned ties do to the signals that one operation passes back, as arrays `[m]`.

    Attributes:
        operation: a ReLU, whose signal comes or goes; or a max pooling, which passes it to another place.
        owners: the numbers of the ties.
        windows: where the signal comes from in the operation's output, counted through.
        before: where a max pooling passes it now, in its input, counted through.
        after: where once the tie is turned.
    """

    operation: tf.Operation
    owners: np.ndarray
    windows: np.ndarray
    before: np.ndarray
    after: np.ndarray


@dataclasses.dataclass(frozen=True, eq=False)
class OfOperation:
    """The ties of one ReLU or max pooling, as arrays: a picture with a white half has hundreds of thousands.

    Attributes:
        operation: which one.
        shape: of one picture's activations that decide, `[h, w, K]` or `[K]`.
        places: `[n]`, where each is in these, counted through.
        values: `[n]`, that turn them.
        margins: `[n]`.
        moves: what turning them does, in this operation; of a ReLU also in the max pooling above it.
    """

    operation: tf.Operation
    shape: tuple[int, ...]
    places: np.ndarray
    values: np.ndarray
    margins: np.ndarray
    moves: Sequence[Moves]

    @property
    def tensor(self) -> tf.Tensor:
        """The activations that decide: what a ReLU gives, what a max pooling is given."""
        return self.operation.inputs[0] if is_choice(self.operation) else self.operation.outputs[0]

    def __getitem__(self, number: int) -> Tie:
        place = tuple(int(i) for i in np.unravel_index(self.places[number], self.shape))
        values = float(self.margins[number]), self.tensor, float(self.values[number])
        return Tie(self.operation.name, place, *values)


class Found(Sequence[Tie]):
    """The ties of one picture, operation by operation.

    Attributes:
        groups: operation by operation, in forward order.
    """

    def __init__(self, groups: Sequence[OfOperation]):
        self.groups = list(groups)
        self._ends = np.cumsum([len(group.places) for group in groups], dtype=int)

    def __len__(self) -> int:
        return int(self._ends[-1]) if self.groups else 0

    def __getitem__(self, number):
        if isinstance(number, slice):
            return [self[i] for i in range(*number.indices(len(self)))]
        if not -len(self) <= number < len(self):
            raise IndexError(number)
        number %= len(self)
        which = int(np.searchsorted(self._ends, number, side="right"))
        return self.groups[which][number - self._ends[which]]  # counted from the group's end

    def hidden(self) -> np.ndarray:
        """Their numbers, of the ReLUs that open and win a window of zeros at once: either alone changes nothing."""
        found = [np.zeros(0, int)]
        for group, end in zip(self.groups, self._ends):
            for moves in group.moves[1:]:
                opening = moves.owners[group.values[moves.owners] > 0]
                found.append(np.unique(opening) + end - len(group.places))
        return np.concatenate(found)

    def nearest(self) -> np.ndarray:
        """Their numbers, those nearest to their tie first."""
        margins = np.concatenate([group.margins for group in self.groups]) if self.groups else np.zeros(0)
        return np.argsort(margins, kind="stable")


def deciding_operations(network: Network) -> list[tf.Operation]:
    """The ReLUs and max poolings between a network's images and its logits, in forward order."""
    from slim_models.backward import MARKS, operations_between

    between = operations_between(network.images, network.logits)
    return [op for op in network.graph.get_operations() if op in between and (op.type in MARKS or is_choice(op))]


def is_choice(op: tf.Operation) -> bool:
    """Whether an operation is a max pooling that has something to choose from."""
    return op.type == "MaxPool" and max(op.get_attr("ksize")) > 1


def find_ties(inputs: Mapping[tf.Operation, np.ndarray], rounding: float = ROUNDING) -> Found:
    """The decisions that rounding may turn.

    Args:
        inputs: what each of `deciding_operations` is given for one picture, `[1, h, w, K]` or `[1, K]`.
        rounding: how far from a tie, over the root mean square of the operation's input, counts.
    """
    pools = {op.inputs[0].name: op for op in inputs if is_choice(op)}
    groups = [_ties(op, array[0], rounding, pools) for op, array in inputs.items()]
    return Found([group for group in groups if len(group.places)])


def _ties(op: tf.Operation, array: np.ndarray, rounding: float, pools: Mapping[str, tf.Operation]) -> OfOperation:
    scale = float(np.sqrt(np.mean(np.square(array, dtype=np.float64)))) or 1.0
    if is_choice(op):
        return _of_pooling(op, array, rounding * scale, scale)
    places = np.flatnonzero(np.abs(array) <= rounding * scale)
    values = array.ravel()[places]
    turned = np.where(values > 0, np.float32(0), np.float32(_OPEN))
    moves = [Moves(op, np.arange(len(places)), places, places, places)]
    if len(places) and (pool := pools.get(op.outputs[0].name)) is not None:
        moves.append(_above(pool, np.maximum(array, 0), places))
    return OfOperation(op, array.shape, places, turned, np.abs(values) / scale, moves)


def _above(pool: tf.Operation, array: np.ndarray, ties: np.ndarray) -> Moves:
    """Where all of a window is zero, a ReLU that opens wins it; one that closes leaves it to the next."""
    numbers, places = _windows(pool, array)
    owners = np.full(array.size, -1)
    owners[ties] = np.arange(len(ties))
    where = np.zeros(array.shape, np.float32)
    where.ravel()[ties] = 1
    which, y, x, channel = np.nonzero(_windows(pool, where)[0] > 0)
    columns, each = numbers[:, y, x, channel], np.arange(len(which))
    now = columns.argmax(axis=0)
    columns[which, each] = np.where(columns[which, each] > 0, 0, _OPEN)
    then = columns.argmax(axis=0)

    def flat(chosen: np.ndarray) -> np.ndarray:
        rows, columns = places[chosen, :, y, x].T
        return np.ravel_multi_index((rows, columns, channel), array.shape)

    windows = np.ravel_multi_index((y, x, channel), numbers.shape[1:])
    changed = now != then
    found = owners[flat(which)], windows, flat(now), flat(then)
    return Moves(pool, *(indices[changed] for indices in found))


def _of_pooling(op: tf.Operation, array: np.ndarray, distance: float, scale: float) -> OfOperation:
    """Whatever is that close to the largest of its window could win; numbers near zero are their ReLU's decision."""
    numbers, places = _windows(op, array)
    best = numbers.argmax(axis=0)  # the first of equals wins
    largest = np.take_along_axis(numbers, best[None], axis=0)[0]
    others = np.arange(len(numbers)).reshape(-1, 1, 1, 1) != best
    which, y, x, channel = np.nonzero((largest - numbers <= distance) & (largest > distance) & others)
    windows = np.ravel_multi_index((y, x, channel), largest.shape)
    rows, columns = places[which, :, y, x].T
    there = np.ravel_multi_index((rows, columns, channel), array.shape)
    rows, columns = places[best[y, x, channel], :, y, x].T
    winners = np.ravel_multi_index((rows, columns, channel), array.shape)
    winning = np.nextafter(largest[y, x, channel], np.float32(np.inf))
    # Windows that overlap can have the same numbers: what wins in one wins in the other.
    order = np.lexsort((winning, there))
    new = np.ones(len(order), bool)
    new[1:] = (np.diff(there[order]) != 0) | (np.diff(winning[order]) != 0)
    first = order[new]
    margins = (largest[y, x, channel] - array.ravel()[there])[first] / scale
    owners = np.empty(len(order), int)
    owners[order] = np.cumsum(new) - 1
    moves = Moves(op, owners, windows, winners, there)
    return OfOperation(op, array.shape, there[first], winning[first], margins, [moves])


def _windows(op: tf.Operation, array: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """What a max pooling chooses from.

    Returns:
        The numbers, `[n, h, w, K]` for windows of n, -inf outside the picture, and their rows and columns
        in `array`, `[n, 2, h, w]`.
    """
    size, stride = op.get_attr("ksize")[1], op.get_attr("strides")[1]
    rows, columns = (_starts(op, axis, array.shape[axis - 1], size, stride) for axis in (1, 2))
    offsets = np.stack(np.divmod(np.arange(size * size), size), axis=1)
    places = np.stack([np.stack(np.meshgrid(rows + y, columns + x, indexing="ij")) for y, x in offsets])
    inside = ((places >= 0) & (places < np.array(array.shape[:2]).reshape(1, 2, 1, 1))).all(axis=1)
    y, x = np.where(np.expand_dims(inside, 1), places, 0).transpose(1, 0, 2, 3)
    return np.where(np.expand_dims(inside, -1), array[y, x], np.float32(-np.inf)), places


def _starts(op: tf.Operation, axis: int, length: int, size: int, stride: int) -> np.ndarray:
    """Where the windows begin along an axis of the operation's input, before the first number where it pads there."""
    before = after = 0
    if op.get_attr("padding") == b"SAME":
        missing = max((-(-length // stride) - 1) * stride + size - length, 0)
        before, after = missing // 2, missing - missing // 2
    elif op.get_attr("padding") == b"EXPLICIT":
        before, after = op.get_attr("explicit_paddings")[2 * axis : 2 * axis + 2]
    return np.arange(-before, length + after - size + 1, stride)
