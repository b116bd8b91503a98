"""Heavy constants of a frozen graph, which become variables of the same values.

TensorFlow's graph optimiser copies constants many times over before a session's first run: a frozen VGG16, of 553 MB,
takes half a minute and most of 16 GB. As variables they cost what they weigh; runs are as fast.
"""

from __future__ import annotations

from collections.abc import Mapping

import tensorflow.compat.v1 as tf

from slim_models.loading.passes.graph import Graph, array_of, size_of, without_value
from slim_models.weights import fill

_HEAVY = 2**22  # numbers; lighter constants stay what they are


def lightened(graph: Graph) -> Graph:
    """Takes the heavy constants out of a graph.

    Args:
        graph: whose heavy constants are among its nodes.

    Returns:
        A graph with operations of the same name, type and shape in their place, which are never run, and the
        constants beside it as `heavy`; `graph` itself if there are none.
    """
    heavy = {name: node for name, node in graph.nodes.items() if node.op == "Const" and size_of(node) > _HEAVY}
    heavy = {name: node for name, node in heavy.items() if tf.as_dtype(node.attr["dtype"].type).is_floating}
    if not heavy:
        return graph
    light = tf.GraphDef(versions=graph.graph_def.versions, library=graph.graph_def.library)
    light.node.extend(without_value(node) if node.name in heavy else node for node in graph.graph_def.node)
    return graph.alike(light, heavy)


def variables_of(heavy: Mapping[str, tf.NodeDef]) -> dict[str, tf.Variable]:
    """A variable in the current graph for each heavy constant, by its name."""
    result = {}
    for name, node in heavy.items():
        tensor = node.attr["value"].tensor
        shape, dtype = tf.TensorShape(tensor.tensor_shape), tf.as_dtype(tensor.dtype)
        result[name] = tf.get_variable(name, shape, dtype, tf.zeros_initializer(), trainable=False)
    return result


def restore(heavy: Mapping[str, tf.NodeDef], variables: Mapping[str, tf.Variable], session: tf.Session) -> None:
    """Gives the variables the constants' values."""
    fill(session, variables, lambda name: array_of(heavy[name]))
