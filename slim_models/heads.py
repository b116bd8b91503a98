"""What networks make of their logits: what they say, in NumPy."""

from __future__ import annotations

import numpy as np

from slim_models.mistakes import BadValue

HEADS = ("softmax", "sigmoid", "linear")


def said_of(logits: np.ndarray, head: str, one_output: bool = False) -> np.ndarray:
    """What a network says: probabilities, or where its head is linear, its outputs.

    Args:
        logits: `[..., C]`.
        head: one of `HEADS`.
        one_output: whether the logits are `[-z, z]` of a network's only output z: then, of a linear head, z is what
            is said for what makes it lower as for what makes it higher.
    """
    if head != "linear":
        return probabilities_of(logits, head)
    return np.repeat(logits[..., 1:], 2, axis=-1) if one_output else logits


def probabilities_of(logits: np.ndarray, head: str) -> np.ndarray:
    """Probabilities from logits `[..., C]` by a network's head.

    Raises:
        ValueError: the head is linear.
    """
    if head == "linear":
        raise BadValue("a network with a linear head says no probabilities; its outputs are the logits")
    return sigmoid(logits) if head == "sigmoid" else softmax(logits)


def overall(said: np.ndarray) -> np.ndarray:
    """Of an output that is a map, `[N, h, w, C]`, the mean over its places: `[N, C]`, which is returned as it is."""
    return said.mean(axis=tuple(range(1, said.ndim - 1)))


def in_words(said: float, head: str) -> str:
    """What a network says of a class, as titles have it: `34.3%`, or where its head is linear a number, `12.3`."""
    return f"{said:.4g}" if head == "linear" else percent(said)


def percent(probability: float) -> str:
    """A probability to a tenth of a percent, such as `93.0%`; one near 0 or 1 is not said to be 0 or 1."""
    if probability < 0.0005:
        return "<0.1%"
    return ">99.9%" if probability >= 0.9995 else f"{probability:.1%}"


def softmax(logits: np.ndarray) -> np.ndarray:
    """Probabilities from logits: `[..., C]` -> `[..., C]`."""
    exponentials = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return exponentials / exponentials.sum(axis=-1, keepdims=True)


def sigmoid(logits: np.ndarray) -> np.ndarray:
    """1 / (1 + exp(-logits)), each class on its own: of any shape."""
    return np.exp(-np.logaddexp(0, -logits))
