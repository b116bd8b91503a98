"""Graphs that take encoded pictures: where pixels can be fed instead."""

from __future__ import annotations

import tensorflow.compat.v1 as tf

from slim_models.graph_defs import computed_from, tensor_name, topological
from slim_models.skeletons import inferred


def after_decoding(graph_def: tf.GraphDef, name: str) -> str | None:
    """Finds where a graph that takes encoded pictures (JPEG, PNG, a tf.Example) has pixels `[N, H, W, 3]`.

    Args:
        graph_def: the graph.
        name: its placeholder of strings.

    Returns:
        The first floating-point tensor of rank 4 that is computed from `name`, of known size if one is: in
        classify_image_graph_def.pb (Inception, 2015), whose placeholder is `DecodeJpeg/contents`,
        `ResizeBilinear:0` `[1, 299, 299, 3]`. If a loop decodes a batch, the first after the loop, which may
        be of unknown rank. Its values are in the range that the graph has there, be it [0, 255] or [0, 1].
        None if there is no such tensor.
    """
    nodes, graph = topological(graph_def), inferred(graph_def)
    after = computed_from(nodes, [tensor_name(name)])
    ranks: tuple[int | None, ...] = (4,)
    exits = [f"{node.name}:0" for node in after if node.op == "Exit"]
    if exits:
        after, ranks = computed_from(nodes, exits), (4, None)
    tensors = [tensor for node in after for tensor in graph.get_operation_by_name(node.name).outputs]
    pictures = [tensor for tensor in tensors if tensor.dtype.is_floating and tensor.shape.ndims in ranks]
    of_known_size = [tensor for tensor in pictures if _is_of_known_size(tensor)]
    return next((tensor.name for tensor in (of_known_size or pictures)), None)


def _is_of_known_size(tensor: tf.Tensor) -> bool:
    _, height, width, channels = tensor.shape.as_list() if tensor.shape.ndims else [None] * 4
    return bool(height and width) and channels in (1, 3)
