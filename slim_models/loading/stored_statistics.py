"""How far what a network sees is from what its first batch norm saw in training."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import tensorflow.compat.v1 as tf

from slim_models.signal_path import signal_path

_BATCH_NORMS = ("FusedBatchNorm", "FusedBatchNormV2", "FusedBatchNormV3")


def first_statistics(images: tf.Tensor, logits: tf.Tensor) -> Sequence[tf.Tensor] | None:
    """Of the first batch norm its input `[N, h, w, K]`, stored mean `[K]` and variance `[K]`; None without one."""
    for operation in signal_path(logits, [images]):
        if operation.type == "BatchNormWithGlobalNormalization":  # of graphs from before 2016
            return operation.inputs[:3]
        if operation.type in _BATCH_NORMS and not operation.get_attr("is_training"):
            inputs, _, _, mean, variance = operation.inputs
            return inputs, mean, variance
    return None


def divergence(inputs: np.ndarray, mean: np.ndarray, variance: np.ndarray) -> float:
    """The Kullback-Leibler divergence of normal distributions, in nats: of what is seen from what is stored.

        1/2 (v / variance + (m - mean)^2 / variance - 1 - log(v / variance))

    Args:
        inputs: `[N, h, w, K]`, whose mean m and variance v are taken per channel.
        mean: `[K]`, stored.
        variance: `[K]`, stored.

    Returns:
        The median over the channels; 0 if they are alike.
    """
    seen = inputs.astype(np.float64).reshape(-1, inputs.shape[-1])
    stored = np.maximum(variance.astype(np.float64), 1e-12)
    ratio = np.maximum(seen.var(0), 1e-12) / stored
    return float(np.median((ratio + (seen.mean(0) - mean) ** 2 / stored - 1 - np.log(ratio)) / 2))
