"""Batch norm folded into weights and biases: the same network, with the variables of one without it."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

EPSILON = 1.001e-5  # added to the variances of batch norm, but for MobileNet's; the fused operation takes no less


def with_epsilon(variance: np.ndarray, epsilon: float) -> np.ndarray:
    """The variance, float64, that is with `EPSILON` what the one given is with another epsilon."""
    return np.asarray(variance, np.float64) + (epsilon - EPSILON)


def folded(weights: Mapping[str, np.ndarray], name: str) -> np.ndarray:
    """The value of one variable of the plain form of a network with batch norm.

    With the stored statistics, batch norm (Ioffe & Szegedy 2015) is a linear map per output channel, and
    so part of the layer before it:

        w' = w * gamma / sqrt(variance + epsilon)
        b' = beta - mean * gamma / sqrt(variance + epsilon)

    Args:
        weights: variable name -> array; a layer's weights are `[..., K]`, its statistics `[K]`.
        name: `layer/weights` or `layer/biases`.

    Returns:
        In float64, or as it is given where the layer has no batch norm.

    Raises:
        KeyError: there is no such array, and no batch norm that it would follow from.
    """
    layer, _, part = name.rpartition("/")
    if f"{layer}/BatchNorm/gamma" not in weights:
        return weights[name]

    def of(statistic: str) -> np.ndarray:
        return np.asarray(weights[f"{layer}/BatchNorm/{statistic}"], np.float64)

    scale = of("gamma") / np.sqrt(of("moving_variance") + EPSILON)
    return weights[name] * scale if part == "weights" else of("beta") - of("moving_mean") * scale
