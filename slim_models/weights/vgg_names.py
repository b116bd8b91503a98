"""VGG16 and VGG19 of other programs, slim's and Keras', by the names of `vgg16.npy`."""

from __future__ import annotations

import pathlib
import re
from collections.abc import Callable, Iterable, Iterator, Mapping

import h5py
import numpy as np

from slim_models.memory import aligned_array, freeze
from slim_models.mistakes import BadValue
from slim_models.weights.hdf5 import open_hdf5

# Keras numbers the fully connected layers on their own.
_NAMES = {"fc1": "fc6", "fc2": "fc7", "predictions": "fc8"}
_SLIM = re.compile(r"((?:.+/)?)conv(\d)/conv\2_\d/(?:weights|biases)")  # behind a scope, vgg_16/ as a rule
_FLAT = re.compile(r"(conv\d_\d|fc\d)_(W|b)")
# conv1_1's first numbers in Caffe's VGG16, of the first channel that comes out: of B, G and R.
_PUBLISHED = (0.42947057, 0.55037946, 0.4800154)

_BEFORE_THE_LAST = {f"conv{b}_{i}" for b, count in enumerate((2, 2, 3, 3, 3), 1) for i in range(1, count + 1)} | {
    *("fc6", "fc7")
}
_IN_VGG19 = {f"conv{block}_4" for block in (3, 4, 5)}


def is_slim_vgg(weights: Iterable[str]) -> bool:
    """Whether names are those of slim's VGGs, under whatever scope."""
    return any(_SLIM.fullmatch(name) for name in weights)


def is_flat_vgg(weights: Iterable[str]) -> bool:
    """Whether names are those of `vgg16_weights.npz`."""
    names = list(weights)
    return bool(names) and all(_FLAT.fullmatch(name) for name in names)


def from_slim_vgg(weights: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Renames and reshapes the variables of slim's `vgg_16.ckpt` or `vgg_19.ckpt`.

    Slim's layers are the same but for two things: they take RGB where Caffe's take BGR, so that the
    input channels of the first kernel are reversed; and the fully connected ones are convolutions, fc6
    with a kernel `[7, 7, 512, 4096]` over the whole of pool5.

    Args:
        weights: variable name (`vgg_16/conv1/conv1_1/weights`) -> array.

    Returns:
        `conv1_1/weights`, ... -> array, behind what stands before `vgg_16/`. What lies outside of the scope of the
        layers is left out.
    """
    scopes = {match[1] for match in map(_SLIM.fullmatch, weights) if match}
    result = {}
    for name, array in weights.items():
        under = max((scope for scope in scopes if name.startswith(scope)), key=len, default=None)
        path, _, kind = name.rpartition("/")
        if under is None or not path or path in weights:  # `vgg_16/conv1/conv1_1/weights/Momentum`
            continue
        layer = path.rpartition("/")[2]
        if layer == "conv1_1" and kind == "weights":
            array = array[:, :, ::-1]
        elif layer.startswith("fc") and kind == "weights":
            array = array.reshape(-1, array.shape[-1])
        result[f"{re.sub('vgg_1[69]/$', '', under)}{layer}/{kind}"] = array
    return result


def from_flat_vgg(
    weights: Mapping[str, np.ndarray], say: Callable[[str], object] | None = None
) -> dict[str, np.ndarray]:
    """Renames the arrays of Davi Frossard's `vgg16_weights.npz`, which are laid out as those of `vgg16.npy`.

    His program gives them RGB, less the mean (123.68, 116.779, 103.939), where ours take BGR: the input channels of the
    first kernel are reversed. Only where its numbers are those of Caffe's own are they known to take BGR already.

    Args:
        weights: `conv1_1_W`, `conv1_1_b`, ..., `fc8_b` -> array.
        say: is told which order the kernel takes.

    Returns:
        `conv1_1/weights`, `conv1_1/biases`, ... -> array.
    """
    kinds = {"W": "weights", "b": "biases"}
    result = {f"{name[:-2]}/{kinds[name[-1]]}": array for name, array in weights.items()}
    first = result.get("conv1_1/weights")
    if first is not None and first.ndim == 4:
        caffes = first.shape[2] == 3 and np.allclose(first[0, 0, :, 0], _PUBLISHED, rtol=0, atol=1e-4)
        result["conv1_1/weights"] = first if caffes else first[:, :, ::-1]
        if say:
            order = (
                "BGR (found: it is Caffe's)" if caffes else "RGB, as in its author's program, and is reversed for ours"
            )
            say(f"weights: conv1_1_W takes {order}")
    return result


def with_last_layer(
    weights: Mapping[str, np.ndarray], say: Callable[[str], object] | None = None
) -> dict[str, np.ndarray]:
    """Names the last fully connected layer of a VGG `fc8`, whatever whoever fine-tuned it called it.

    Args:
        weights: `conv1_1/weights`, ..., `fc7/biases`, `fc8_flickr/weights`, ... -> array.
        say: is told of it.

    Returns:
        As given, but for that name; all of it where there is not exactly one such layer, or it is no VGG.
    """
    layers = dict.fromkeys(name.rpartition("/")[0] for name in weights)
    others = [layer for layer in layers if layer not in _BEFORE_THE_LAST and layer not in _IN_VGG19]
    if not layers.keys() >= _BEFORE_THE_LAST or len(others) != 1 or others == ["fc8"]:
        return dict(weights)
    (last,) = others
    if say:
        say(f"weights: {last} is fc8, as the last fully connected layer of a VGG")
    return {
        f"fc8/{name.rpartition('/')[2]}" if name.startswith(f"{last}/") else name: weights[name] for name in weights
    }


def read_keras_hdf5(path: pathlib.Path) -> dict[str, np.ndarray]:
    """Reads the weights of Keras' VGG16 or VGG19, such as `vgg16_weights_tf_dim_ordering_tf_kernels.h5`.

    They are Caffe's, in the layout of TensorFlow: kernels `[h, w, in, out]`, the first for BGR, and a
    first fully connected layer that expects height-width-channel order; so only the names change.

    Args:
        path: a file of weights or a whole model, as Keras 1 to 3 write them.

    Returns:
        `conv1_1/weights`, `conv1_1/biases`, ..., `fc8/biases` -> array.

    Raises:
        ValueError: a layer is none of Keras' VGG16 and VGG19, the file holds no layers, or it is Caffe's by its name.
    """
    if path.name.lower().endswith((".caffemodel.h5", ".caffemodel.hdf5")):
        raise BadValue(
            "it is Caffe's HDF5, which is not read here; save the net's weights as .caffemodel, its usual form"
        )
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
            yield variables.attrs["name"], [_numbers(variables[key]) for key in sorted(variables)]
        return
    group = file.get("model_weights", file)  # a whole model keeps its weights in a group of their own
    for name in group.attrs.get("layer_names", ()):
        layer = group[name]
        yield _text(name), [_numbers(layer[weight]) for weight in layer.attrs["weight_names"]]


def _numbers(values: h5py.Dataset) -> np.ndarray:
    """Read-only, in memory that a variable can take over, if they are numbers."""
    if values.dtype.kind not in "fiu" or not values.size:
        return values[()]
    array = aligned_array(values.shape, values.dtype)
    values.read_direct(array)
    return freeze(array)


def _text(name: bytes | str) -> str:
    return name.decode() if isinstance(name, bytes) else name
