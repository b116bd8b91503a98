"""PyTorch's networks by our names and in TensorFlow's layout: EfficientNet-Lite, torchvision's VGGs and ResNets."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from slim_models.mistakes import BadValue
from slim_models.weights.folding import with_epsilon
from slim_models.weights.matrices import turned

Table = dict[str, str]  # PyTorch's layer -> ours, without the scope

_NORM = {"weight": "gamma", "bias": "beta", "running_mean": "moving_mean", "running_var": "moving_variance"}
_DEPTHWISE = "depthwise"  # how our names of such layers end
_EPSILON = 1e-5  # that the batch norm of torchvision's ResNets adds


def _efficientnet_lite(blocks: int) -> Table:
    """Of `efficientnet_lite_pytorch` and its packages of weights; the first block does not expand."""
    table = {"_conv_stem": "conv_stem", "_bn0": "conv_stem/BatchNorm"}
    for i in range(blocks):
        names = ("expand", "depthwise", "project")
        for number, name in enumerate(names[i == 0 :], start=i == 0):
            table[f"_blocks.{i}._{name}_conv"] = f"block_{i}/{name}"
            table[f"_blocks.{i}._bn{number}"] = f"block_{i}/{name}/BatchNorm"
    return table | {"_conv_head": "conv_head", "_bn1": "conv_head/BatchNorm", "_fc": "logits"}


def _resnet(units: Sequence[int]) -> Table:
    """Of torchvision's `resnet50` and `resnet101`."""
    table = {"conv1": "conv1", "bn1": "conv1/BatchNorm"}
    for block, count in enumerate(units, start=1):
        for unit in range(count):
            theirs, ours = f"layer{block}.{unit}", f"block{block}/unit_{unit + 1}/bottleneck_v1"
            for i in (1, 2, 3):
                table |= {f"{theirs}.conv{i}": f"{ours}/conv{i}", f"{theirs}.bn{i}": f"{ours}/conv{i}/BatchNorm"}
        shortcut = f"block{block}/unit_1/bottleneck_v1/shortcut"
        table |= {f"layer{block}.0.downsample.{i}": shortcut + end for i, end in enumerate(("", "/BatchNorm"))}
    return table | {"fc": "logits"}


def _vgg(convolutions: Sequence[int]) -> Table:
    """Of torchvision's `vgg16` and `vgg19`, which number convolutions, ReLUs and max pools alike."""
    table, place = {}, 0
    for block, count in enumerate(convolutions, start=1):
        for i in range(1, count + 1):
            table[f"features.{place}"] = f"conv{block}_{i}"
            place += 2
        place += 1
    return table | {f"classifier.{place}": name for place, name in ((0, "fc6"), (3, "fc7"), (6, "fc8"))}


# Scope of our names -> layers; depth of the last block over that of the stem, where that tells what the names do not.
_LAYOUTS: dict[str, tuple[Table, float | None]] = {
    "efficientnet_lite0": (_efficientnet_lite(16), None),
    "efficientnet_lite1": (_efficientnet_lite(21), 320 / 32),
    "efficientnet_lite2": (_efficientnet_lite(21), 352 / 32),
    "efficientnet_lite3": (_efficientnet_lite(24), None),
    "efficientnet_lite4": (_efficientnet_lite(30), None),
    "resnet_v1_5_50": (_resnet((3, 4, 6, 3)), None),
    "resnet_v1_5_101": (_resnet((3, 4, 23, 3)), None),
    "vgg16_torchvision": (_vgg((2, 2, 3, 3, 3)), None),
    "vgg19_torchvision": (_vgg((2, 2, 4, 4, 4)), None),
}


def from_torch(weights: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Renames and transposes the arrays of a network that is known here, and leaves those of any other as they are.

    Args:
        weights: PyTorch's names (`layer1.0.conv1.weight`) -> arrays: kernels `[out, in, h, w]`, matrices `[out, in]`.

    Returns:
        Our names, `resnet_v1_5_50/block1/unit_1/bottleneck_v1/conv1/weights` -> arrays: kernels `[h, w, in, out]`,
        depthwise ones `[h, w, K, 1]`, matrices `[in, out]`, a VGG's first for height-width-channel order. Counters of
        training (`num_batches_tracked`) are left out.
    """
    layers = {name.rpartition(".")[0] for name in weights}
    for scope, (table, ratio) in _LAYOUTS.items():
        if layers == table.keys() and (ratio is None or ratio == _ratio(weights)):
            return {f"{scope}/{name}": array for name, array in _converted(scope, table, weights)}
    return dict(weights)


def _ratio(weights: Mapping[str, np.ndarray]) -> float:
    """Depth of the last block of an EfficientNet over that of the stem."""
    return np.shape(weights["_conv_head.weight"])[1] / np.shape(weights["_conv_stem.weight"])[0]


def _converted(scope: str, table: Table, weights: Mapping[str, np.ndarray]) -> Iterator[tuple[str, np.ndarray]]:
    """Our names, without the scope, and arrays."""
    for name, array in weights.items():
        theirs, _, part = name.rpartition(".")
        layer = table[theirs]
        if part == "num_batches_tracked":
            continue
        if layer.endswith("/BatchNorm"):
            if part == "running_var" and scope.startswith("resnet"):
                array = with_epsilon(array, _EPSILON)
            yield f"{layer}/{_NORM[part]}", array
        elif part == "bias":
            yield f"{layer}/biases", array
        elif layer.endswith(_DEPTHWISE):
            yield f"{layer}/depthwise_weights", array.transpose(2, 3, 0, 1)
        elif layer == "fc6":
            yield "fc6/weights", _turned(array, *_maps(table, weights))
        else:
            yield f"{layer}/weights", _kernel(array, layer == "logits")


def _kernel(array: np.ndarray, logits: bool) -> np.ndarray:
    """A kernel `[out, in, h, w]` -> `[h, w, in, out]`; a matrix `[out, in]` -> `[in, out]`, or a kernel 1 x 1."""
    if array.ndim == 4:
        return array.transpose(2, 3, 1, 0)
    return array.T[None, None] if logits else _turned(array, array.shape[1])


def _maps(table: Table, weights: Mapping[str, np.ndarray]) -> tuple[int, int]:
    """Depth and side of the maps that a VGG's fc6 takes."""
    last = next(theirs for theirs, ours in reversed(table.items()) if ours.startswith("conv"))
    depth, inputs = np.shape(weights[f"{last}.weight"])[0], np.shape(weights["classifier.0.weight"])[1]
    side = math.isqrt(inputs // depth)
    if inputs != depth * side * side:
        raise BadValue(f"classifier.0 takes {inputs} numbers, which are no square maps of {depth} channels")
    return depth, side


def _turned(array: np.ndarray, depth: int, side: int = 1) -> np.ndarray:
    return turned(lambda first, last: array[first:last], len(array), depth, side, array.dtype)
