"""Batch norm folded into weights and biases: the same network, with the variables of one without it."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from slim_models.layers import EPSILON


def fold_batch_norm(weights: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Turns the weights of a network with batch norm into those of its plain form.

    With the stored statistics, batch norm (Ioffe & Szegedy 2015) is a linear map per output channel, and
    so part of the layer before it:

        w' = w * gamma / sqrt(variance + epsilon)
        b' = beta - mean * gamma / sqrt(variance + epsilon)

    Args:
        weights: of a network whose batch norm adds `layers.EPSILON` (MobileNet's adds more), variable name ->
            array; a layer's weights are `[..., K]`, its statistics `[K]`.

    Returns:
        `layer/weights` and `layer/biases` of every layer, in float32. Layers without batch norm keep
        their values.
    """
    folded = {}
    for name, array in weights.items():
        layer = name.removesuffix("/weights")
        if f"{layer}/BatchNorm/gamma" in weights:
            gamma, beta, mean, variance = (
                np.asarray(weights[f"{layer}/BatchNorm/{part}"], np.float64)
                for part in ("gamma", "beta", "moving_mean", "moving_variance")
            )
            scale = gamma / np.sqrt(variance + EPSILON)
            folded[name] = (array * scale).astype(np.float32)
            folded[f"{layer}/biases"] = (beta - mean * scale).astype(np.float32)
        elif "/BatchNorm/" not in name:
            folded[name] = np.asarray(array, np.float32)
    return folded
