"""What turning a decision does to the arrays that are compared, to first order, for all decisions in one run.

A ReLU or a max pooling that falls the other way changes the signal that it passes back at one place. How much of a
difference d that takes away, <d, change>, follows from one more backward pass, through the backward pass itself: with
h = <d, gradients>, dh / d(signal passed back) is known at every place at once.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
import tensorflow.compat.v1 as tf

from gradcam.comparison.decisions import Found, Moves, OfOperation, deciding_operations, is_choice
from gradcam.explainer import Explainer
from slim_models.backward import gradients, signal_path

_RECTIFIERS = ("ReluGrad", "Relu6Grad")


class Influence:
    """Products of differences with the changes that turned decisions make."""

    def __init__(self, explainer: Explainer):
        """Adds what it takes to the explainer's graph.

        Raises:
            LookupError, TypeError, ValueError: TensorFlow has no second derivative of some operation.
        """
        self._explainer = explainer
        of_class = explainer.tensors
        arrays = [*of_class["saliency"].values(), *of_class["gradients"].values()]
        operations = deciding_operations(explainer.network)
        with explainer.network.graph.as_default():
            self._differences = {a: tf.placeholder_with_default(tf.zeros_like(a), a.shape) for a in arrays}
            total = sum(tf.reduce_sum(array * difference) for array, difference in self._differences.items())
            passed = {op: list(_passed_back(op)) for op in operations}
            after = list(dict.fromkeys(output for pairs in passed.values() for _, output in pairs))
            path = set(signal_path(total, after))
            after = [output for output in after if not path.isdisjoint(output.consumers())]
            adjoints = dict(zip(after, gradients(total, after, "backprop")))
            self._indices = {op: [tf.placeholder(tf.int64, [None]) for _ in range(3)] for op in operations}
            self._products: dict[tf.Operation, tf.Tensor] = {}
            for op, pairs in passed.items():
                known = [(signal, adjoints[output]) for signal, output in pairs if output in adjoints]
                if known:
                    self._products[op] = sum(_product(op, *pair, *self._indices[op]) for pair in known)

    def products(
        self, found: Found, feed: Mapping[tf.Tensor, np.ndarray], differences: Mapping[tf.Tensor, np.ndarray]
    ) -> np.ndarray:
        """The product of each difference with what turning each decision adds to the arrays.

        Args:
            found: the decisions of a picture.
            feed: the picture N times, its class, and the activations that decide.
            differences: a tensor of `Explainer.tensors` -> N differences of it; of others there are none.

        Returns:
            `[N, number of decisions]`.
        """
        count = len(next(iter(differences.values())))
        given = {self._differences[tensor]: array for tensor, array in differences.items()}
        moves: dict[tf.Operation, list[Moves]] = {op: [] for op in self._products}
        for move in (move for group in found.groups for move in group.moves):
            moves.get(move.operation, []).append(move)
        for op, some in moves.items():
            for name, placeholder in zip(("after", "before", "windows"), self._indices[op]):
                given[placeholder] = np.concatenate([getattr(move, name) for move in some] or [np.zeros(0, int)])
        ran = self._explainer.session.run({op.name: self._products[op] for op in moves}, {**feed, **given})
        parts = []
        for group in found.groups:
            sums = np.zeros((count, len(group.places)))
            for move in group.moves:
                if move.operation in moves:  # they come in the order in which they were fed
                    products, ran[move.operation.name] = np.split(ran[move.operation.name], [len(move.owners)], axis=1)
                    sums += _by_tie(group, move, products)
            parts.append(sums)
        return np.concatenate(parts, axis=1) if parts else np.zeros((count, 0))


def _by_tie(group: OfOperation, move: Moves, products: np.ndarray) -> np.ndarray:
    """`[N, m]` of signals -> `[N, n]` of ties, which decide several windows if these overlap."""
    if not is_choice(move.operation):
        products = products * np.where(group.values > 0, 1, -1)  # opened or closed
    return np.stack([np.bincount(move.owners, row, len(group.places)) for row in products])


def _passed_back(op: tf.Operation) -> Iterator[tuple[tf.Tensor, tf.Tensor]]:
    """What each backward pass gives to a ReLU or max pooling, and what comes out below.

    The deconvnet's ReLUs do not ask how the forward pass decided: they are not among those that read it.
    """
    if is_choice(op):
        for back in op.inputs[0].consumers():
            if back.type == "MaxPoolGrad" and back.inputs[1].op is op:
                yield back.inputs[2], back.outputs[0]
        return
    for back in op.outputs[0].consumers():
        if back.type in _RECTIFIERS and back.inputs[1].op is op:
            cuts = [cut for cut in back.outputs[0].consumers() if _cuts(cut, back)]
            yield (tf.nn.relu(back.inputs[0]), cuts[0].outputs[0]) if cuts else (back.inputs[0], back.outputs[0])


def _cuts(op: tf.Operation, below: tf.Operation) -> bool:
    """Whether it is what guided backprop does with a signal: only where it is itself above zero it goes on."""
    return op.type in _RECTIFIERS and all(tensor.op is below for tensor in op.inputs)


def _product(
    op: tf.Operation, signal: tf.Tensor, adjoint: tf.Tensor, there: tf.Tensor, winner: tf.Tensor, window: tf.Tensor
) -> tf.Tensor:
    """`[N, m]`: the signal of a window moves from its winner to another place; that of a ReLU comes or goes."""
    if not is_choice(op):
        return _at(signal, there) * _at(adjoint, there)
    return _at(signal, window) * (_at(adjoint, there) - _at(adjoint, winner))


def _at(tensor: tf.Tensor, places: tf.Tensor) -> tf.Tensor:
    flat = tf.reshape(tf.cast(tensor, tf.float32), [tf.shape(tensor)[0], -1])
    return tf.gather(flat, places, axis=1)
