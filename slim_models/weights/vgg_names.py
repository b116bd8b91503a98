"""VGG16 and VGG19 of other programs, slim's and Keras', by the names of `vgg16.npy`."""

from __future__ import annotations

import pathlib
import re
from collections.abc import Iterator, Mapping

import h5py
import numpy as np

from slim_models.mistakes import BadValue
from slim_models.weights.hdf5 import open_hdf5

SCOPES = ("vgg_16/", "vgg_19/")  # first part of the names in slim's checkpoints
# Keras numbers the fully connected layers on their own.
_NAMES = {"fc1": "fc6", "fc2": "fc7", "predictions": "fc8"}


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


def read_keras_hdf5(path: pathlib.Path) -> dict[str, np.ndarray]:
    """Reads the weights of Keras' VGG16 or VGG19, such as `vgg16_weights_tf_dim_ordering_tf_kernels.h5`.

    They are Caffe's, in the layout of TensorFlow: kernels `[h, w, in, out]`, the first for BGR, and a
    first fully connected layer that expects height-width-channel order; so only the names change.

    Args:
        path: a file of weights or a whole model, as Keras 1 to 3 write them.

    Returns:
        `conv1_1/weights`, `conv1_1/biases`, ..., `fc8/biases` -> array.

    Raises:
        ValueError: a layer is none of Keras' VGG16 and VGG19, or the file holds no layers.
    """
    with open_hdf5(path) as file:
        layers = {name: arrays for name, arrays in _layers(file) if arrays}
    weights = {}
    for layer, arrays in layers.items():
        name = _NAMES.get(layer, re.sub(r"^block(\d)_conv(\d)$", r"conv\1_\2", layer))
        if name == layer:
            raise BadValue(f"layer {layer!r} is none of Keras' VGG16 and VGG19")
        if [array.ndim > 1 for array in arrays] != [True, False]:
            raise BadValue(f"layer {layer!r} should hold a kernel and a bias, not {[a.shape for a in arrays]}")
        weights[f"{name}/weights"], weights[f"{name}/biases"] = arrays
    if not weights:
        raise BadValue("it holds no layers with weights")
    return weights


def _layers(file: h5py.File) -> Iterator[tuple[str, list[np.ndarray]]]:
    """Every layer's name and arrays, kernel first."""
    if "layers" in file:  # Keras 3's .weights.h5
        for layer in file["layers"].values():
            variables = layer["vars"]
            yield variables.attrs["name"], [variables[key][()] for key in sorted(variables)]
        return
    group = file.get("model_weights", file)  # a whole model keeps its weights in a group of their own
    for name in group.attrs.get("layer_names", ()):
        layer = group[name]
        yield _text(name), [layer[weight][()] for weight in layer.attrs["weight_names"]]


def _text(name: bytes | str) -> str:
    return name.decode() if isinstance(name, bytes) else name
