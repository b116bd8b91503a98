"""Functions called by a graph, as TensorFlow 2 writes them -> operations of the graph itself."""

from __future__ import annotations

from collections.abc import Sequence

import tensorflow.compat.v1 as tf

from slim_models.loading.passes.graph import skeleton
from slim_models.mistakes import BadValue


def inlined(graph_def: tf.GraphDef, outputs: Sequence[str]) -> tf.GraphDef:
    """The operations that tensors depend on, those of called functions among them.

    A function would be differentiated as a whole, by the true gradient, whatever rule is in force; and its
    layers have no names outside of it.

    Args:
        graph_def: with or without functions; unchanged.
        outputs: names of the tensors that are wanted.

    Returns:
        The graph without calls; the same object if there were none.
    """
    functions = {function.signature.name for function in graph_def.library.function}
    if not any(_calls(node, functions) for node in graph_def.node):
        return graph_def
    constants = {node.name: node for node in graph_def.node if node.op == "Const"}
    meta_graph = tf.MetaGraphDef()
    # The optimiser copies what it is given several times over: it gets no weights.
    meta_graph.graph_def.CopyFrom(_light(graph_def))
    meta_graph.collection_def["train_op"].node_list.value.extend(outputs)  # its word for what is wanted
    flat = _optimized(meta_graph)
    result = tf.GraphDef(versions=flat.versions)
    result.node.extend(constants.get(node.name, node) for node in flat.node)
    return result


def _calls(node: tf.NodeDef, functions: set[str]) -> bool:
    return node.op in functions or any(value.func.name in functions for value in node.attr.values())


def _light(graph_def: tf.GraphDef) -> tf.GraphDef:
    light = skeleton(graph_def)
    for function in light.library.function:
        # An implementation chosen by device hides what it calls; a function that asks not to be inlined is.
        function.attr.pop("api_implements", None)
        function.attr.pop("_noinline", None)
    return light


def _optimized(meta_graph: tf.MetaGraphDef) -> tf.GraphDef:
    """By the function pass of TensorFlow's own optimiser, which `convert_variables_to_constants_v2` uses too."""
    from tensorflow.python.grappler import tf_optimizer

    config = tf.ConfigProto()
    rewriting = config.graph_options.rewrite_options
    rewriting.min_graph_nodes = -1
    rewriting.optimizers.append("function")
    rewriting.function_optimization = rewriting.AGGRESSIVE
    try:
        return tf_optimizer.OptimizeGraph(config, meta_graph)
    except tf.errors.OpError as error:
        raise BadValue(f"TensorFlow cannot inline the graph's functions: {str(error).splitlines()[0]}") from error
