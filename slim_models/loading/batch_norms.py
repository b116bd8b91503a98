"""The first batch norm of a graph, however it is written, and how far what it sees is from what it saw in training."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import numpy as np
import tensorflow.compat.v1 as tf

from slim_models.backward import depending, reached, signal_path, source

_BATCH_NORMS = ("FusedBatchNorm", "FusedBatchNormV2", "FusedBatchNormV3")
_COPIES = ("Identity", "Cast", "Reshape", "ExpandDims", "Squeeze", "Snapshot", "EnsureShape")
_FACTORS = ("Mul", "RealDiv", "Maximum")  # Keras' Normalization keeps the root from 0
_SUMS = ("Add", "AddV2", "Sub", "BiasAdd")


def first_statistics(images: tf.Tensor, logits: tf.Tensor) -> Sequence[tf.Tensor] | None:
    """Of the first batch norm its input `[N, h, w, K]`, stored mean `[K]` and variance `[K]`; None without one.

    One of single operations has them in its factor, `gamma * rsqrt(variance + epsilon)`; where that has been made one
    constant, they are lost.
    """
    changing = depending([images])
    for operation in signal_path(logits, [images]):
        if operation.type == "BatchNormWithGlobalNormalization":  # of graphs from before 2016
            return operation.inputs[:3]
        if operation.type in _BATCH_NORMS and not operation.get_attr("is_training"):
            inputs, _, _, mean, variance = operation.inputs
            return inputs, mean, variance
        if operation.type in ("Mul", "RealDiv"):
            found = _of_single_operations(operation, changing)
            if found is not None:
                return found
    return None


def _of_single_operations(operation: tf.Operation, changing: Collection[tf.Operation]) -> Sequence[tf.Tensor] | None:
    """Of `x * factor + (beta - mean * factor)` or `(x - mean) * factor + beta`: x, mean and variance."""
    changed = [tensor for tensor in operation.inputs if _changes(tensor, changing)]
    factors = [tensor for tensor in operation.inputs if not _changes(tensor, changing)]
    if len(changed) != 1 or len(factors) != 1:
        return None
    variance = _variance(factors[0], divides=operation.type == "RealDiv" and operation.inputs[1] is factors[0])
    if variance is None:
        return None
    before = _origin(changed[0]).op
    stored = [tensor for tensor in before.inputs if not _changes(tensor, changing)]
    if before.type == "Sub" and len(stored) == 1 and stored[0] is before.inputs[1]:
        return before.inputs[0], stored[0], variance
    mean = _mean_in_shift(operation, variance, changing)
    return None if mean is None else (changed[0], mean, variance)


def _changes(tensor: tf.Tensor, changing: Collection[tf.Operation]) -> bool:
    return tensor.op in changing or tensor.op.type == "Placeholder"


def _variance(factor: tf.Tensor, divides: bool) -> tf.Tensor | None:
    """What is under the root of a factor; `divides`: the root is what is divided by."""
    inside = reached([_origin(factor)], lambda t: map(_origin, t.op.inputs) if t.op.type in _FACTORS else [])
    for tensor in inside:
        if tensor.op.type == "Rsqrt" or (tensor.op.type == "Sqrt" and (divides or tensor is not inside[0])):
            under = _origin(tensor.op.inputs[0])
            if under.op.type not in _SUMS:
                return under
            terms = list(under.op.inputs)
            return max(terms, key=lambda term: term.shape.num_elements() or 0)  # the other is epsilon
    return None


def _mean_in_shift(
    operation: tf.Operation, variance: tf.Tensor, changing: Collection[tf.Operation]
) -> tf.Tensor | None:
    """The mean of `beta - mean * factor`, which is added to the product: what a factor of that variance multiplies."""

    def terms(tensor: tf.Tensor) -> list[tf.Tensor]:
        return [_origin(t) for t in tensor.op.inputs] if tensor.op.type in (*_SUMS, "Neg") else []

    for reader in operation.outputs[0].consumers():
        shifts = [_origin(t) for t in reader.inputs if not _changes(t, changing)] if reader.type in _SUMS else []
        for product in (term.op for term in reached(shifts, terms) if term.op.type == "Mul"):
            others = [_origin(t) for t in product.inputs if _variance(t, divides=False) is not variance]
            if len(others) == 1 and others[0].op.type == "Neg":  # of -mean * factor, as Keras has it
                return others[0].op.inputs[0]
            if len(others) == 1 and others[0].op.type not in ("Mul", "RealDiv"):
                return others[0]
    return None


def _origin(tensor: tf.Tensor) -> tf.Tensor:
    return source(tensor, _COPIES)


def divergence(inputs: np.ndarray, mean: np.ndarray, variance: np.ndarray) -> float:
    """The Kullback-Leibler divergence of normal distributions, in nats: of what is seen from what is stored.

        1/2 (v / variance + (m - mean)^2 / variance - 1 - log(v / variance))

    Args:
        inputs: `[N, h, w, K]`, or `[N, K, h, w]` where only that fits, whose mean m and variance v are taken per
            channel.
        mean: `[K]`, stored, in any shape.
        variance: `[K]`, likewise.

    Returns:
        The median over the channels; 0 if they are alike.
    """
    mean, variance = mean.astype(np.float64).ravel(), variance.astype(np.float64).ravel()
    last = inputs if inputs.shape[-1] == mean.size else np.moveaxis(inputs, 1, -1)
    seen = last.astype(np.float64).reshape(-1, last.shape[-1])
    stored = np.maximum(variance, 1e-12)
    ratio = np.maximum(seen.var(0), 1e-12) / stored
    return float(np.median((ratio + (seen.mean(0) - mean) ** 2 / stored - 1 - np.log(ratio)) / 2))
