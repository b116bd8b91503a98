"""Weights of Keras 1's and 2's HDF5 files, given to the layers of a model layer by layer."""

from __future__ import annotations

import pathlib
from collections.abc import Sequence
from typing import Any

import numpy as np

from slim_models.loading.keras_building import Part
from slim_models.loading.keras_config import IN_MEMORY
from slim_models.mistakes import BadValue

# Whose kernels Theano turned round, and Keras 1 kept in an order of its own.
_CONVOLUTIONS = ("Conv1D", "Conv2D", "Conv3D", "Conv2DTranspose")


def give_weights(file: Any, root: Part, path: pathlib.Path) -> None:
    """Gives all layers of a model what the file has for them.

    Args:
        file: open HDF5 file.
        root: the model.
        path: to be named in errors.

    Raises:
        ValueError: layers, numbers of weights or shapes differ.
    """
    group = file.get("model_weights", file)
    writer = _Writer(file, path)
    groups = {name: _names(group[name].attrs, "weight_names") for name in _names(group.attrs, "layer_names")}
    groups = {name: weights for name, weights in groups.items() if weights}
    by_name = _matched(list(groups), root)
    if by_name is None:
        raise BadValue(f"{path} has weights of other layers than its model: of {', '.join(groups) or 'none'}")
    for name, weights in groups.items():
        writer.give(by_name[name], weights, [group[name][weight][()] for weight in weights])


def _matched(names: Sequence[str], root: Part) -> dict[str, Part] | None:
    """The model's layers with weights, by the names that they have among the file's weights.

    A model in a model is one of them, but Keras 1 wrote the layers of a Sequential in a Sequential one by one.
    """
    layers = [part for part in root.parts if any(_variables(leaf) for leaf in part.leaves())]
    leaves = [leaf for leaf in root.leaves() if _variables(leaf)]
    for parts in (layers, leaves):
        if {part.name for part in parts} == set(names) and len(parts) == len(names):
            return {part.name: part for part in parts}
    return next((dict(zip(names, parts)) for parts in (layers, leaves) if len(parts) == len(names)), None)


class _Writer:
    def __init__(self, file: Any, path: pathlib.Path) -> None:
        version = _text(file.attrs.get("keras_version", "1"))
        self.path, self.first = path, version.startswith("1")
        self.backend = _text(file.attrs["backend"]) if "backend" in file.attrs else None

    def give(self, part: Part, names: Sequence[str], arrays: Sequence[np.ndarray]) -> None:
        """Gives a layer its weights, or a model those of all its layers."""
        leaves = [leaf for leaf in part.leaves() if _variables(leaf)]
        places = [(leaf, variable) for leaf in leaves for variable in _variables(leaf)]
        if len(places) != len(arrays):
            raise BadValue(f"{self.path}: layer {part.name!r} has {len(places)} weights, and the file {len(arrays)}")
        if len(leaves) > 1:
            places = _by_name(leaves, names) or _trained_first(leaves)
        for (leaf, variable), name, array in zip(places, names, arrays):
            array = self._arranged(leaf, array, tuple(variable.shape))
            if array.shape != tuple(variable.shape):
                raise BadValue(
                    f"{self.path}: {name} of layer {leaf.name!r} should be {tuple(variable.shape)}, not {array.shape}"
                )
            variable.assign(array)
        for leaf in leaves:
            if hasattr(leaf.layer, "finalize_state"):  # a Normalization computes with what it makes of its weights
                leaf.layer.finalize_state()

    def _arranged(self, leaf: Part, array: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
        """A kernel in TensorFlow's order.

        Raises:
            ValueError: it cannot be told whether it was Theano that made it, which turned kernels round.
        """
        if leaf.class_name not in _CONVOLUTIONS or array.ndim < 3:
            return array
        last = getattr(leaf.layer, "data_format", None) != "channels_first"
        if self.first:
            if not last and self.backend is None:
                raise BadValue(
                    f"{self.path}: layer {leaf.name!r} has its channels first (dim_ordering 'th'), and it cannot be "
                    f"told whether its kernel is Theano's or TensorFlow's: {IN_MEMORY}"
                )
            array = _of_keras_1(leaf.class_name, array, shape, last)
        if self.backend == "theano":
            array = array[tuple(slice(None, None, -1) for _ in range(array.ndim - 2))]
        return array


def _of_keras_1(class_name: str, array: np.ndarray, shape: tuple[int, ...], last: bool) -> np.ndarray:
    """A kernel that Keras 1 has written, in the order of later ones."""
    if class_name == "Conv1D" and array.ndim == 4:
        if array.shape[1] != 1:  # before 1.1: filters, channels, length, 1
            array = array.transpose(2, 3, 1, 0)
        return array[:, 0]
    if class_name == "Conv2DTranspose":
        return array.transpose(0, 1, 3, 2) if last else array.transpose(2, 3, 0, 1)
    if not last:  # filters, channels, rows, columns
        return np.moveaxis(array, (0, 1), (-1, -2))
    return array


def _variables(leaf: Part) -> list[Any]:
    """A layer's weights, those that are trained first, without states of random generators."""
    return list(getattr(leaf.layer, "weights", ()))


def _by_name(leaves: Sequence[Part], names: Sequence[str]) -> list[tuple[Part, Any]] | None:
    """The layers' weights in the order of the names `conv/kernel:0`; None if names do not tell which is which."""
    places = {
        (leaf.name, _kind(getattr(variable, "path", variable.name))): (leaf, variable)
        for leaf in leaves
        for variable in _variables(leaf)
    }
    found = []
    for name in names:
        scope = name.rpartition("/")[0]
        ends = [place for place in places if place[1] == _kind(name) and f"/{scope}".endswith(f"/{place[0]}")]
        found.append(max(ends, key=lambda place: len(place[0]), default=None))
    known = [places[place] for place in found if place is not None]
    return known if len(known) == len(names) == len(set(found)) else None


def _kind(name: str) -> str:
    return name.rpartition("/")[2].removesuffix(":0")


def _trained_first(leaves: Sequence[Part]) -> list[tuple[Part, Any]]:
    """As Keras 2 orders the weights of a model in a model."""
    trained = [(leaf, variable) for leaf in leaves for variable in leaf.layer.trainable_weights]
    return trained + [(leaf, variable) for leaf in leaves for variable in leaf.layer.non_trainable_weights]


def _names(attributes: Any, key: str) -> list[str]:
    """A list of names; one that is too long for an attribute lies in several, `layer_names0` and so on."""
    if key in attributes:
        return [_text(name) for name in attributes[key]]
    names, number = [], 0
    while f"{key}{number}" in attributes:
        names += [_text(name) for name in attributes[f"{key}{number}"]]
        number += 1
    return names


def _text(name: bytes | str) -> str:
    return name.decode() if isinstance(name, bytes) else str(name)
