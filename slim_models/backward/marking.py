"""The marks of a graph from a file: ours on its ReLUs, nobody else's."""

from __future__ import annotations

import tensorflow.compat.v1 as tf

from slim_models.relu_gradients import MARKS

_MARK = "_gradient_op_type"  # the attribute under which TensorFlow looks for a gradient's name


def marked(graph_def: tf.GraphDef) -> tf.GraphDef:
    """A copy that can be imported and differentiated under any rule of `RULES`.

    Every Relu and Relu6 gets the mark `marked_relus` gives. Every other mark goes, whatever is registered
    under its name here: `CustomGradient-17`, as `tf.custom_gradient` and `tf.nn.silu` leave it in a file, is
    the seventeenth gradient of the process that wrote the file, and of this one another's or nobody's. What
    is left is the gradient of the operations themselves, which is the true one.

    Args:
        graph_def: the graph; the functions of its library lose their marks but get none.

    Returns:
        The copy, with the library and the versions.
    """
    result = tf.GraphDef()
    result.CopyFrom(graph_def)
    for node in result.node:
        node.attr.pop(_MARK, None)
        if node.op in MARKS:
            node.attr[_MARK].s = MARKS[node.op].encode()
    for function in result.library.function:
        for node in function.node_def:
            node.attr.pop(_MARK, None)
    return result
