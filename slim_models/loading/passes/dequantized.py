"""Weights kept in 8 bits: dequantized once, when the graph is read, and not in every run.

The graph transform tool's `quantize_weights` leaves a constant of 8 bits and its range, and a Dequantize, which has no
gradient and needs none where all that it reads is constant.
"""

from __future__ import annotations

import tensorflow.compat.v1 as tf

from slim_models.loading.passes.graph import Graph, Rewriting, data_inputs, imported, node_name
from slim_models.running import new_session


def dequantized(graph: Graph) -> Graph:
    """Computes every Dequantize of constants, as TensorFlow itself computes it.

    Args:
        graph: unchanged.

    Returns:
        Another graph, in which they are constants under their own names; `graph` itself if it has none.
    """
    found = [node for node in graph.graph_def.node if node.op == "Dequantize" and _is_of_constants(graph, node)]
    if not found:
        return graph
    names = {node.name for node in found}
    rewriting = Rewriting(graph)
    for node in graph.graph_def.node:
        copy = rewriting.copy(node)
        if node.name in names:
            _replace(copy, _value(graph, node))
    return rewriting.finished()


def _constant(graph: Graph, tensor: str) -> tf.NodeDef | None:
    """The Const that a tensor is, or is a copy of."""
    node = graph.nodes.get(node_name(tensor))
    while node is not None and node.op == "Identity":
        node = graph.nodes.get(node_name(node.input[0]))
    return node if node is not None and node.op == "Const" else None


def _is_of_constants(graph: Graph, node: tf.NodeDef) -> bool:
    return all(_constant(graph, tensor) is not None for tensor in data_inputs(node))


def _value(graph: Graph, node: tf.NodeDef) -> tf.TensorProto:
    small = tf.GraphDef(versions=graph.graph_def.versions)
    alone = small.node.add()
    alone.CopyFrom(node)
    alone.device = ""
    del alone.input[:]
    for place, tensor in enumerate(data_inputs(node)):
        constant = small.node.add()
        constant.CopyFrom(_constant(graph, tensor))
        constant.name, constant.device = f"{node.name}/input_{place}", ""
        del constant.input[:]
        alone.input.append(constant.name)
    with tf.Graph().as_default(), new_session() as session:
        (tensor,) = imported(small, wanted=[f"{node.name}:0"])
        return tf.make_tensor_proto(session.run(tensor))


def _replace(node: tf.NodeDef, value: tf.TensorProto) -> None:
    waits = [word for word in node.input if word.startswith("^")]
    node.op = "Const"
    node.input[:] = waits
    node.attr.clear()
    node.attr["dtype"].type = value.dtype
    node.attr["value"].tensor.CopyFrom(value)
