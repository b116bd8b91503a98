"""Functions called by a graph, as TensorFlow 2 writes them -> operations of the graph itself."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import tensorflow.compat.v1 as tf

from slim_models.loading.passes.graph import Graph, node_name
from slim_models.mistakes import BadValue

_CONTROL_FLOW = ("If", "Case", "While")


def inlined(graph: Graph, outputs: Sequence[str]) -> Graph:
    """Puts the operations of called functions in the place of the calls.

    A function would be differentiated as a whole, by the true gradient, whatever rule is in force; and its
    layers have no names outside of it.

    Args:
        graph: with or without functions.
        outputs: names of the tensors that are wanted; empty are those that no operation reads.

    Returns:
        A graph without calls; `graph` itself if there were none.
    """
    functions = {function.signature.name for function in graph.graph_def.library.function}
    if not any(_calls(node, functions) for node in graph.graph_def.node):
        return graph
    meta_graph = _light(graph)
    wanted = [node_name(name) for name in outputs] or ends(graph)
    meta_graph.collection_def["train_op"].node_list.value.extend(wanted)  # the optimiser's word for it
    flat = _optimized(meta_graph)
    constants = {name: node for name, node in graph.nodes.items() if node.op == "Const"}
    result = tf.GraphDef(versions=flat.versions)
    result.node.extend(constants.get(node.name, node) for node in flat.node)
    return Graph(result, graph.heavy)


def ends(graph: Graph) -> list[str]:
    """The operations that no other reads."""
    read = {node_name(word) for node in graph.graph_def.node for word in node.input}
    return [name for name in graph.nodes if name not in read]


def _calls(node: tf.NodeDef, functions: set[str]) -> bool:
    return node.op in functions or any(value.func.name in functions for value in node.attr.values())


def _light(graph: Graph) -> tf.MetaGraphDef:
    """What the optimiser is given: it copies that several times over, so there are no weights in it."""
    light = tf.MetaGraphDef(graph_def=graph.skeleton)
    functions = light.graph_def.library.function
    # An implementation chosen by device hides what it calls; a function that asks not to be inlined, or to be compiled
    # as a whole, is inlined all the same.
    nodes = [*light.graph_def.node, *(node for function in functions for node in function.node_def)]
    for thing in (*functions, *nodes):
        for name in ("api_implements", "_noinline", "_XlaMustCompile"):
            thing.attr.pop(name, None)
    for function in functions:
        _name_outputs(function)
    for node in nodes:
        if node.op.removeprefix("Stateless") in _CONTROL_FLOW:
            node.attr["_lower_using_switch_merge"].b = True  # which a frozen graph of TensorFlow 2 has not
    return light


def _name_outputs(function: Any) -> None:
    """Freezing makes an Identity of a variable's reading, and leaves who reads its `value`, which is now `output`."""
    copies = {node.name for node in function.node_def if node.op == "Identity"}

    def named(word: str) -> str:
        node, _, output = word.partition(":")
        return f"{node}:output:0" if node in copies and output == "value:0" else word

    for key, word in list(function.ret.items()):
        function.ret[key] = named(word)
    for node in function.node_def:
        node.input[:] = [named(word) for word in node.input]


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
    except (tf.errors.OpError, ValueError) as error:  # it is strict, also about what importing lets pass
        raise BadValue(f"TensorFlow cannot inline the graph's functions: {str(error).splitlines()[0]}") from error
