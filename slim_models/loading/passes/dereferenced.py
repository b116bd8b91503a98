"""Operations on variables in a frozen graph, whose variables are constants: their counterparts on values.

Freezing leaves a batch norm's moving averages as they were, `AssignSub(moving_mean, ...)` in the branch for training,
and TensorFlow cannot import a graph that assigns to a constant, not even where that never runs.
"""

from __future__ import annotations

import tensorflow.compat.v1 as tf

from slim_models.loading.passes.graph import VARIABLES, Graph, Rewriting, data_inputs

# What takes the place of each: an operation, and which of the inputs it has.
_COUNTERPARTS = {
    "RefSwitch": ("Switch", (0, 1)),
    "RefIdentity": ("Identity", (0,)),
    "RefEnter": ("Enter", (0,)),
    "RefExit": ("Exit", (0,)),
    "RefNextIteration": ("NextIteration", (0,)),
    "Assign": ("Identity", (1,)),
    "AssignAdd": ("Add", (0, 1)),
    "AssignSub": ("Sub", (0, 1)),
}
_SURPLUS = ("use_locking", "validate_shape")


# Updates of resources, which give nothing.
_UPDATES = ("AssignVariableOp", "AssignAddVariableOp", "AssignSubVariableOp")


def dereferenced(graph: Graph) -> Graph:
    """Replaces the operations on references to variables, and takes out the updates of resources.

    Args:
        graph: as it was read from a file.

    Returns:
        Another graph; `graph` itself if it has variables, or no such operations.
    """
    functions = graph.graph_def.library.function
    nodes = [*graph.graph_def.node, *(node for function in functions for node in function.node_def)]
    if any(node.op in VARIABLES for node in nodes) or not any(_is_of_variable(node) for node in nodes):
        return graph
    rewriting = Rewriting(graph)
    for node in graph.graph_def.node:
        rewriting.copy(node)
    for node in (*rewriting.result.node, *(n for f in rewriting.result.library.function for n in f.node_def)):
        if _is_of_variable(node):
            _replace(node)
    return rewriting.finished()


def _is_of_variable(node: tf.NodeDef) -> bool:
    return node.op in _COUNTERPARTS or node.op in (*_UPDATES, "RefMerge")


def _replace(node: tf.NodeDef) -> None:
    inputs, waits = data_inputs(node), [word for word in node.input if word.startswith("^")]
    if node.op in _UPDATES:
        node.op, inputs = "NoOp", []
        node.attr.clear()
    elif node.op == "RefMerge":
        node.op = "Merge"
    else:
        node.op, places = _COUNTERPARTS[node.op]
        inputs = [inputs[place] for place in places]
    node.input[:] = [*inputs, *waits]
    for name in _SURPLUS:
        node.attr.pop(name, None)
