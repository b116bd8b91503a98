"""ResNets in Caffe, as He et al. published them and with the layers of slim, by the names of slim's."""

from __future__ import annotations

import re
import string
from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from slim_models.weights.caffemodel import EPSILON
from slim_models.weights.folding import with_epsilon

_BRANCHES = {"1": "shortcut", "2a": "conv1", "2b": "conv2", "2c": "conv3"}


def _table(units: Sequence[int], numbered: bool) -> dict[str, str]:
    """Caffe's layers with weights -> ours, without the scope: of each convolution, its batch norm and its scale."""
    convolutions = {"_conv1": "conv1"}
    for block, count in enumerate(units, start=1):
        names = ["a", *(f"b{i}" for i in range(1, count))] if numbered and block in (2, 3) else string.ascii_lowercase
        for unit, name in enumerate(names[:count], start=1):
            ours = f"block{block}/unit_{unit}/bottleneck_v1"
            convolutions |= {
                f"{block + 1}{name}_branch{branch}": f"{ours}/{conv}" for branch, conv in _BRANCHES.items()
            }
            if unit > 1:
                del convolutions[f"{block + 1}{name}_branch1"]
    table = {}
    for name, ours in convolutions.items():
        table["conv1" if name == "_conv1" else f"res{name}"] = ours
        table[f"bn{name}"] = table[f"scale{name}"] = f"{ours}/BatchNorm"
    return table


def _table_of_slim(units: Sequence[int]) -> dict[str, str]:
    """The same of slim's ResNets in Caffe, by slim's names: `block1/unit_1/conv1`, and its `/bn` and `/scale`."""
    table = {"conv1": "conv1"}
    for block, count in enumerate(units, start=1):
        for unit in range(1, count + 1):
            here = f"block{block}/unit_{unit}"
            for conv in ("shortcut", "conv1", "conv2", "conv3")[unit > 1 :]:
                table[f"{here}/{conv}"] = f"{here}/bottleneck_v1/{conv}"
    norms = {f"{name}/{part}": f"{ours}/BatchNorm" for name, ours in table.items() for part in ("bn", "scale")}
    return {**table, **norms}


_LAYOUTS = {
    "resnet_v1_50_caffe": _table((3, 4, 6, 3), numbered=False),
    "resnet_v1_101_caffe": _table((3, 4, 23, 3), numbered=True),
    "resnet_v1_50": _table_of_slim((3, 4, 6, 3)),
    "resnet_v1_101": _table_of_slim((3, 4, 23, 3)),
}


def from_caffe(weights: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Renames the arrays of ResNet-50 and ResNet-101, He et al.'s and slim's, and leaves those of any other network.

    Args:
        weights: as `read_caffemodel` returns them: `res2a_branch1/weights`, `bn2a_branch1/moving_mean`,
            `scale2a_branch1/gamma`, ...

    Returns:
        `resnet_v1_50_caffe/block1/unit_1/bottleneck_v1/shortcut/weights`, `.../BatchNorm/gamma`, ...; statistics such
        that with the epsilon of our batch norm they do what they did with Caffe's. What is added before batch norm
        (the first convolution of ResNet-50 has biases) is taken from the mean. The one layer more is the head,
        whatever whoever fine-tuned it called it.
    """
    layers = {name.rpartition("/")[0] for name in weights}
    for scope, table in _LAYOUTS.items():
        if table.keys() <= layers and len(layers - table.keys()) == 1:
            return {f"{scope}/{name}": array for name, array in _renamed(weights, table)}
    return dict(weights)


def resnet_layer(name: str) -> str | None:
    """Ours for the layer that adds a unit to its shortcut in He et al.'s ResNets: `res3b`, `res4b22` (the last of
    ResNet-101's `res4`) -> `block2/unit_2`, `block3/unit_23`. None for any other name."""
    match = re.fullmatch(r"res([2-5])([a-z])(\d*)(?:_relu)?", name)
    if match is None:
        return None
    unit = 1 + int(match[3]) if match[3] else 1 + string.ascii_lowercase.index(match[2])
    return f"block{int(match[1]) - 1}/unit_{unit}"


def _renamed(weights: Mapping[str, np.ndarray], table: Mapping[str, str]) -> Iterator[tuple[str, np.ndarray]]:
    """Our names, without the scope, and arrays."""
    biases = {
        table[layer]: array for name, array in weights.items() if (layer := name.removesuffix("/biases")) in table
    }
    for name, array in weights.items():
        layer, _, part = name.rpartition("/")
        if layer not in table:
            yield f"logits/{part}", array[None, None] if part == "weights" and array.ndim == 2 else array
        elif part == "moving_mean":
            yield f"{table[layer]}/{part}", array - biases.get(table[layer].removesuffix("/BatchNorm"), np.float32(0))
        elif part == "moving_variance":
            yield f"{table[layer]}/{part}", with_epsilon(array, EPSILON)
        elif part != "biases":
            yield f"{table[layer]}/{part}", array
