"""Why gradients of two correct programs differ: decisions within rounding of a tie.

Of the millions of ReLU inputs and maxima of a network a few lie so close to zero, or to their runner-up,
that rounding decides them. Each that falls the other way in another program changes the gradients by a
step. Here such decisions are found, and turned one by one, until the steps add up to the difference.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from tqdm import tqdm

from gradcam.explainer import Explainer
from gradcam.explanation import Explanation
from slim_models.backward import MARKS, operations_between
from slim_models.network import Network

if TYPE_CHECKING:
    import tensorflow.compat.v1 as tf

# (explanation, entry) -> what is left of the difference there, as one array.
Difference = Callable[[Explanation, int], np.ndarray]
_OPEN = 1e-30  # opens a ReLU, and disturbs nothing


class Ties:
    """The decisions of one picture that rounding may turn, and what turning them does.

    Attributes:
        found: the ties, nearest first.
    """

    def __init__(self, explainer: Explainer, image: np.ndarray, rounding: float = 5e-6, *, progress: bool = False):
        """Runs the picture once.

        Args:
            explainer: of the network.
            image: `[H, W, 3]`, RGB in [0, 255].
            rounding: how far from a tie, over the root mean square of the layer, float32's rounding errors
                can be in two implementations: they grow to some 1e-6 in a deep network.
            progress: whether a bar is shown, if on a terminal.
        """
        self._explainer, self._image, self._progress = explainer, np.asarray(image, np.float32), progress
        network, feed = explainer.network, {explainer.network.images: self._image[None]}
        operations = deciding_operations(network)
        inputs = explainer.session.run([operation.inputs[0] for operation in operations], feed)
        self.found = find_ties(network, dict(zip(operations, inputs)), rounding)
        # Every tensor that holds a tie is fed from now on, so that no run decides it anew.
        tensors = list(dict.fromkeys(tie.tensor for tie in self.found))
        self._values = dict(zip(tensors, explainer.session.run(tensors, feed))) if tensors else {}

    def explain(self, targets: Sequence[int], turned: Sequence[Sequence[Tie]]) -> Explanation:
        """Explains the picture with decisions turned.

        Args:
            targets: a class for each entry.
            turned: the ties that are turned, for each entry.
        """
        overrides = {tensor: np.repeat(value, len(targets), axis=0) for tensor, value in self._values.items()}
        for entry, ties in enumerate(turned):
            for tie in ties:
                overrides[tie.tensor][entry][tie.place] = tie.value
        images = np.repeat(self._image[None], len(targets), axis=0)
        return self._explainer.explain(images, targets, overrides=overrides)

    def that_make(self, difference: Difference, target: int, tolerance: float, turned: Sequence[Tie] = ()) -> list[Tie]:
        """The ties that, turned, take a difference away.

        The difference is a sum of the ties' own steps, each 0 or 1 times: a least-squares problem, solved
        for more and more ties, nearest first, until nothing is left.

        Args:
            difference: of a scale at which `tolerance` is small.
            target: the class that it is of.
            tolerance: norm of a difference that is no more than rounding.
            turned: ties that are turned already.

        Returns:
            Further ties; as many as explain something, also where something is left.
        """
        start = difference(self.explain([target], [turned]), 0)
        if np.linalg.norm(start) < tolerance:
            return []
        steps: list[np.ndarray] = []
        taken: list[Tie] = []
        chosen = np.zeros(0, bool)
        products, gram = np.zeros(0), np.zeros((0, 0))  # of the steps with the difference, and with each other
        for tie, step in self._steps(difference, target, start, turned):
            if np.linalg.norm(step) < tolerance / 10:  # rounding of its own
                continue
            steps.append(step)
            taken.append(tie)
            products, gram = np.append(products, step @ start), np.pad(gram, (0, 1))
            gram[-1] = gram[:, -1] = [step @ other for other in steps]
            chosen = np.linalg.lstsq(gram, products, rcond=None)[0] > 0.5
            left = start - sum(step for step, is_chosen in zip(steps, chosen) if is_chosen)
            if np.linalg.norm(left) < tolerance:
                break
        return [tie for tie, is_chosen in zip(taken, chosen) if is_chosen]

    def _steps(
        self, difference: Difference, target: int, start: np.ndarray, turned: Sequence[Tie]
    ) -> Iterator[tuple[Tie, np.ndarray]]:
        """What each tie, turned alone, takes from the difference; four to a run, for the memory's sake."""
        left = [tie for tie in self.found if tie not in turned]
        bar = {"unit_scale": 4, "unit": "tie", "disable": None if self._progress else True, "leave": False}
        for first in tqdm(range(0, len(left), 4), **bar):
            ties = left[first : first + 4]
            explanation = self.explain([target] * len(ties), [[*turned, tie] for tie in ties])
            for entry, tie in enumerate(ties):
                yield tie, start - difference(explanation, entry)


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
