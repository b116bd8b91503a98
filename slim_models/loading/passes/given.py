"""Inputs beside the pictures, such as an age, that are given once and for all: constants in their place."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import tensorflow.compat.v1 as tf

from slim_models.loading.passes.graph import Graph, Rewriting, node_name, tensor_name, type_of


class Given(NamedTuple):
    """The value of an input.

    Attributes:
        value: as it is; or `[1, ...]`, of one picture.
        per_picture: whether every picture has it: the input is `[N, ...]`.
    """

    value: np.ndarray
    per_picture: bool


def fed(graph: Graph, images: str, given: Mapping[str, Given]) -> Graph:
    """Puts values in the place of inputs.

    Args:
        graph: unchanged.
        images: name of the tensor of the pictures, whose first axis is N.
        given: name of a tensor -> its value.

    Returns:
        Another graph, in which nothing reads these tensors; `graph` itself if none is given.
    """
    if not given:
        return graph
    rewriting = Rewriting(graph)
    copies = [rewriting.copy(node) for node in graph.graph_def.node]
    types = {name: graph.inferred.get_tensor_by_name(name).dtype.base_dtype for name in (images, *given)}
    number = _number(rewriting, images, types[images]) if any(one.per_picture for one in given.values()) else ""
    places = {}
    for name, (value, per_picture) in given.items():
        constant = rewriting.constant(f"{node_name(name)}/given", value)
        places[name] = _repeated(rewriting, constant, value, number, types[name]) if per_picture else constant
    gone = {f"^{node_name(name)}" for name in given}
    for node in copies:
        node.input[:] = [places.get(tensor_name(word), word) for word in node.input if word not in gone]
    return rewriting.finished()


def _number(rewriting: Rewriting, images: str, dtype: tf.DType) -> str:
    """A tensor `[1]`: how many pictures there are."""
    name = f"{node_name(images)}/number"
    types = {"T": type_of(dtype), "out_type": type_of(tf.int32)}
    shape = rewriting.add("Shape", f"{name}/shape", [images], **types)
    first, size = (rewriting.constant(f"{name}/{i}", np.array([i], np.int32)) for i in range(2))
    return rewriting.add("Slice", name, [shape, first, size], T=type_of(tf.int32), Index=type_of(tf.int32))


def _repeated(rewriting: Rewriting, constant: str, value: np.ndarray, number: str, dtype: tf.DType) -> str:
    name = node_name(constant)
    ones = rewriting.constant(f"{name}/ones", np.ones(value.ndim - 1, np.int32))
    axis = rewriting.constant(f"{name}/axis", np.array(0, np.int32))
    types = {"T": type_of(tf.int32), "Tidx": type_of(tf.int32), "N": tf.AttrValue(i=2)}
    times = rewriting.add("ConcatV2", f"{name}/times", [number, ones, axis], **types)
    return rewriting.add("Tile", f"{name}/repeated", [constant, times], T=type_of(dtype), Tmultiples=type_of(tf.int32))
