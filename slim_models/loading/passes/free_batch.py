"""Graphs that were frozen with a fixed batch size: made to take any number of pictures, where that is proved."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import tensorflow.compat.v1 as tf

from slim_models.loading.passes.graph import OF_SHAPE, Graph, Rewriting, data_inputs, node_name, tensor_name, type_of

# These may run along the first axis: the pictures.
_MIXING = ("Cumsum", "Cumprod", "CumulativeLogsumexp", "Roll", "RandomShuffle", "ReverseSequence")


def free_batch(graph: Graph, images: str, logits: str) -> Graph:
    """Makes the batch size of a graph free, if the graph provably treats pictures one by one.

    A Reshape to `[B, ...]`, with B the batch size that the graph was frozen with, becomes one to `[-1, ...]`.
    The proof is by shapes: with any batch size N, every tensor between images and logits has the shape
    `[k * N, ...]`, neither k nor the rest depending on N. What mixes pictures without a trace in shapes is
    looked for by name: batch norm by the batch's own statistics; sums, orders and shifts along the first axis.

    Args:
        graph: of a classifier.
        images: its float32 input.
        logits: its output, `[B, C]`.

    Returns:
        Another graph; `graph` itself if its batch size is free, or nothing is proved.
    """
    images, logits = tensor_name(images), tensor_name(logits)
    shape = graph.inferred.get_tensor_by_name(images).shape
    if not shape.ndims:
        return graph
    number, *rest = shape.as_list()
    if number is None and _is_free(graph, images, logits, rest):
        return graph
    try:
        reshapes = _free_reshapes(graph, images, logits, [number or 1, *rest])
    except ValueError:  # TensorFlow's: images whose other sizes do not fit
        return graph
    freed = _with_shapes(graph, images, reshapes)
    return freed if _is_free(freed, images, logits, rest) else graph


def _free_reshapes(graph: Graph, images: str, logits: str, shape: list[int | None]) -> dict[str, np.ndarray]:
    """Name of a Reshape to `[B, ...]` -> `[-1, ...]`."""
    shapes = graph.inferred_for(images, shape)
    found = {}
    for node in _between(graph, images, logits):
        if node.op == "Reshape":
            reshaped = shapes.get_tensor_by_name(f"{node.name}:0").shape
            is_free = list(graph.constants.get(data_inputs(node)[1], ())[:1]) == [-1]
            if not is_free and reshaped.is_fully_defined() and reshaped.as_list()[:1] == [shape[0]]:
                found[node.name] = np.array([-1, *reshaped.as_list()[1:]], np.int32)
    return found


def _with_shapes(graph: Graph, images: str, reshapes: Mapping[str, np.ndarray]) -> Graph:
    rewriting = Rewriting(graph)
    for node in graph.graph_def.node:
        copy = rewriting.copy(node)
        if node.name in reshapes:
            copy.attr["Tshape"].CopyFrom(type_of(tf.int32))
            copy.input[1] = rewriting.constant(f"{node.name}/free_batch", reshapes[node.name])
        elif node.name == node_name(images) and "shape" in node.attr and node.attr["shape"].shape.dim:
            copy.attr["shape"].shape.dim[0].size = -1
    return rewriting.finished()


def _between(graph: Graph, images: str, logits: str) -> list[tf.NodeDef]:
    """The nodes that compute the logits from the values, not from the sizes, of the images; last to first."""
    wanted, found = {node_name(logits)}, []
    for node in reversed(graph.computed_from([images], but=OF_SHAPE)):
        if node.name in wanted:
            found.append(node)
            wanted.update(node_name(tensor) for tensor in data_inputs(node) if tensor != images)
    return found


def _is_free(graph: Graph, images: str, logits: str, rest: list[int | None]) -> bool:
    """Whether the shapes prove what `free_batch` says; `rest` is a picture's shape."""
    between = _between(graph, images, logits)
    if any(_mixes_pictures(node, graph.constants) for node in between):
        return False
    names = {node.name for node in between}
    tensors = {tensor for node in between for tensor in data_inputs(node) if node_name(tensor) in names} | {logits}
    try:
        two, three, any_number = (graph.inferred_for(images, [number, *rest]) for number in (2, 3, None))
    except ValueError:  # a shape that does not fit
        return False
    shapes = [(two.get_tensor_by_name(name).shape, three.get_tensor_by_name(name).shape) for name in tensors]
    output, unknown = two.get_tensor_by_name(logits).shape, any_number.get_tensor_by_name(logits).shape
    return all(_is_per_picture(*pair) for pair in shapes) and output[0] == 2 and unknown.ndims == output.ndims


def _mixes_pictures(node: tf.NodeDef, values: Mapping[str, np.ndarray]) -> bool:
    if node.op.startswith("FusedBatchNorm"):
        return "is_training" not in node.attr or node.attr["is_training"].b  # absent is the default: true
    if node.op == "ReverseV2":
        axes = values.get(data_inputs(node)[1], np.zeros(1))
        return 0 in axes or bool((axes < -3).any())
    return node.op in _MIXING


def _is_per_picture(of_two: tf.TensorShape, of_three: tf.TensorShape) -> bool:
    """`[2 k, ...]` and `[3 k, ...]`."""
    if not of_two.ndims or not of_three.ndims or of_two[0] is None or of_three[0] is None:
        return False
    (two, *rest), (three, *same) = of_two.as_list(), of_three.as_list()
    return two % 2 == 0 and 3 * two == 2 * three and rest == same
