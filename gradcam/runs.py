"""What a session run of an explained network fetches, added to the network's graph; and the runs."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import numpy as np
import tensorflow.compat.v1 as tf

import slim_models
from slim_models.graphs import kept
from slim_models.memory import aligned_array

T = TypeVar("T")
_MOST_BYTES = 2**28  # of the forward pass, repeated for as many classes as one run takes
_MOST_PICTURES = 16  # the same picture, where its classes share no forward pass: memory again, for little more speed


class Fetches:
    """Everything that one run is to say, by the names of `Explanation`'s attributes.

    Attributes:
        directions: the placeholder of what is explained, as the logits are: `[N, C]`; its default is the prediction.
        tensors: `logits` and `activations`, and what depends on the direction: `gradients`, `signals` and
            `saliency`.
    """

    def __init__(
        self, network: slim_models.Network, layers: Sequence[str], rules: Sequence[str], layer_rules: Sequence[str]
    ):
        """Adds it to the network's graph, where an earlier explainer has not: what is added stays for good.

        Args:
            network: whose graph it is.
            layers: endpoints whose activations and gradients are wanted.
            rules: ReLU rules under which saliency is wanted.
            layer_rules: ReLU rules, besides the true gradient's, under which the layers' signals are wanted.

        Raises:
            KeyError: an unknown rule.
        """
        self._network = network
        self.directions, _ = self._kept("total", (), functools.partial(_total, network))
        endpoints = [network.endpoints[layer] for layer in layers]

        def at_layers(rule: str) -> dict[str, tf.Tensor]:
            return dict(zip(layers, self._signals(endpoints, rule) if layers else []))

        self._of_direction = {
            "gradients": at_layers("backprop"),
            "signals": {rule: at_layers(rule) for rule in layer_rules},
            "saliency": {rule: self._signals([network.images], rule)[0] for rule in rules},
        }
        activations = self._kept("activations", endpoints, lambda: [_full(tensor) for tensor in endpoints])
        self.tensors = {
            "logits": network.logits,
            "activations": dict(zip(layers, activations)),
            **self._of_direction,
        }

    def _kept(self, what: str, of: Sequence[tf.Tensor], make: Callable[[], T]) -> T:
        """What was added to the graph for an explainer before, or is added now, of some of its tensors."""
        network = self._network
        names = tuple(tensor.name for tensor in (network.images, network.logits, *of))
        return kept(network.graph, (what, *names), make)

    def _signals(self, xs: Sequence[tf.Tensor], rule: str) -> list[tf.Tensor]:
        """What reaches tensors of the classes' logits under a rule."""
        _, total = self._kept("total", (), functools.partial(_total, self._network))
        return self._kept(rule, xs, lambda: [_full(signal) for signal in slim_models.gradients(total, xs, rule)])

    def run(self, session: tf.Session, feed: Mapping[tf.Tensor, np.ndarray]) -> dict[str, Any]:
        """All of it in ONE session run, or as few as a network of a fixed batch size takes."""
        return in_batches(session, self.tensors, feed, self._network.batch_size)

    def run_classes(self, session: tf.Session, image: np.ndarray, directions: np.ndarray) -> dict[str, Any]:
        """All of it for K directions of one picture, whose forward pass is run once where that can be.

        Args:
            session: of the network's graph.
            image: `[1, H, W, C]`.
            directions: `[K, C]`.

        Returns:
            Arrays `[K, ...]`.
        """
        if len(directions) == 1 or self._network.batch_size is not None or self._read is None:
            return self._run_repeated(session, image, directions)
        once = {"logits": self._network.logits, "activations": self.tensors["activations"], "read": self._read}
        forward = session.run(once, {self._network.images: image})
        size = sum(array.nbytes for array in forward["read"]) or 1
        step = max(1, _MOST_BYTES // size)
        # What is read of the pictures' shape, by TensorFlow 2.12 for one, is not among what is read of their values.
        read = {self._network.images: image, **dict(zip(self._read, forward["read"]))}
        parts = [self._run_backward(session, read, chunk) for chunk in _portions(directions, step)]
        repeated = {key: forward[key] for key in ("logits", "activations")}
        return {
            **tf.nest.map_structure(lambda array: np.repeat(array, len(directions), axis=0), repeated),
            **_joined(parts),
        }

    def _run_repeated(self, session: tf.Session, image: np.ndarray, directions: np.ndarray) -> dict[str, Any]:
        feeds = [
            {self._network.images: _repeated(image, len(chunk)), self.directions: chunk}
            for chunk in _portions(directions, self._network.batch_size or _MOST_PICTURES)
        ]
        return _joined([self.run(session, feed) for feed in feeds])

    def _run_backward(
        self, session: tf.Session, read: Mapping[tf.Tensor, np.ndarray], directions: np.ndarray
    ) -> dict[str, Any]:
        feed = {tensor: _repeated(array, len(directions)) for tensor, array in read.items()}
        return session.run(self._of_direction, {**feed, self.directions: directions})

    @functools.cached_property
    def _read(self) -> list[tf.Tensor] | None:
        """What the backward passes read of the forward pass; None if classes of one picture cannot share it."""
        network, activations = self._network, list(self.tensors["activations"].values())
        signals = tf.nest.flatten(self._of_direction)
        find = functools.partial(slim_models.read_by_backward, network.images, network.logits, signals, activations)
        return self._kept("read", [*signals, *activations], find)


def _total(network: slim_models.Network) -> tuple[tf.Tensor, tf.Tensor]:
    """The placeholder of the directions, whose default is the prediction's, so that explaining it needs no second run.

    And the sum of every y^c along them, each of which depends on its own image alone.
    """
    predicted = tf.argmax(network.logits, axis=-1)
    chosen = tf.one_hot(predicted, network.num_classes, dtype=network.logits.dtype)
    directions = tf.placeholder_with_default(chosen, network.logits.shape, name="directions")
    return directions, tf.reduce_sum(network.logits * directions)


def _full(tensor: tf.Tensor) -> tf.Tensor:
    return tf.cast(tensor, tf.float32)  # what is in float32 stays the same tensor


def in_batches(
    session: tf.Session,
    fetches: Any,
    feed: Mapping[tf.Tensor, np.ndarray],
    size: int | None,
    weights: Mapping[tf.Tensor, np.ndarray] | None = None,
) -> Any:
    """What a run fetches, where a network takes `size` images at a time; None is any number.

    Args:
        session: of the network's graph.
        fetches: tensors `[N, ...]`, in any structure.
        feed: arrays `[N, ...]`.
        size: if not None, the images are run in portions, the last of which is filled up with its last image.
        weights: arrays that are fed as they are, the same for every image.

    Returns:
        Arrays `[N, ...]`, in the structure of `fetches`.
    """
    count, weights = len(next(iter(feed.values()))), weights or {}
    if size in (None, count):
        return session.run(fetches, {**feed, **weights})
    parts = []
    for start in range(0, count, size):
        rows = np.minimum(np.arange(start, start + size), count - 1)
        portion = {tensor: np.asarray(array)[rows] for tensor, array in feed.items()}
        parts.append(session.run(fetches, {**portion, **weights}))
    return tf.nest.map_structure(lambda array: array[:count], _joined(parts))


def _portions(array: np.ndarray, most: int) -> list[np.ndarray]:
    """As few as can be, of nearly the same size."""
    return np.array_split(array, -(-len(array) // most))


def _joined(parts: Sequence[Any]) -> Any:
    """Arrays `[n, ...]` of several runs, in any structure, as `[N, ...]`."""
    return parts[0] if len(parts) == 1 else tf.nest.map_structure(lambda *arrays: np.concatenate(arrays), *parts)


def _repeated(array: np.ndarray, count: int) -> np.ndarray:
    """`[1, ...]` -> `[count, ...]`, in memory that is fed without being copied once more."""
    memory = aligned_array((count, *array.shape[1:]), array.dtype)
    memory[...] = array
    return memory
