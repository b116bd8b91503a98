"""TF-Slim's VGG16 and VGG19 -> arrays by the names, and in the layout, of `vgg16.npy`."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

SCOPES = ("vgg_16/", "vgg_19/")  # first part of the names in slim's checkpoints


def from_slim_vgg(weights: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Renames and reshapes the variables of slim's `vgg_16.ckpt` or `vgg_19.ckpt`.

    Slim's layers are the same but for two things: they take RGB where Caffe's take BGR, so that the
    input channels of the first kernel are reversed; and the fully connected ones are convolutions, fc6
    with a kernel `[7, 7, 512, 4096]` over the whole of pool5.

    Args:
        weights: variable name (`vgg_16/conv1/conv1_1/weights`) -> array.

    Returns:
        `conv1_1/weights`, ... -> array. What no layer takes (`mean_rgb`, `global_step`) is left out.
    """
    result = {}
    for name, array in weights.items():
        scope, _, kind = name.rpartition("/")
        if not scope.startswith(SCOPES):  # `vgg_16/mean_rgb`, `global_step`
            continue
        layer = scope.rpartition("/")[2]
        if layer == "conv1_1" and kind == "weights":
            array = array[:, :, ::-1]
        elif layer.startswith("fc") and kind == "weights":
            array = array.reshape(-1, array.shape[-1])
        result[f"{layer}/{kind}"] = array
    return result
