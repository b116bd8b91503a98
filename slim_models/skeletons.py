"""Shapes and types of the tensors of a GraphDef, without its large constants."""

from __future__ import annotations

from collections.abc import Sequence

import tensorflow.compat.v1 as tf

from slim_models.graph_defs import SMALL, Rewriting, size_of


def skeleton(graph_def: tf.GraphDef) -> tf.GraphDef:
    """The same graph, names, types and shapes, but constants that are not small have no values."""
    rewriting = Rewriting(graph_def)
    for node in graph_def.node:
        if node.op != "Const" or size_of(node) <= SMALL:
            rewriting.copy(node)
            continue
        shape = tf.AttrValue(shape=node.attr["value"].tensor.tensor_shape)
        # A type of constant that has its values elsewhere; as a placeholder it would look like an input.
        attributes = {"dtype": node.attr["dtype"], "shape": shape, "memory_region_name": tf.AttrValue(s=b"")}
        rewriting.result.node.add(name=node.name, op="ImmutableConst", input=node.input, attr=attributes)
    return rewriting.result


def inferred(graph_def: tf.GraphDef, images: str | None = None, shape: Sequence[int | None] | None = None) -> tf.Graph:
    """A graph to read shapes and types from, by the names of `graph_def`; it holds no large constant.

    Args:
        graph_def: the graph, or its skeleton.
        images: a float32 tensor that is replaced by another of shape `shape`; None replaces nothing.
        shape: that shape; None is unknown.

    Raises:
        ValueError: the graph does not fit together, with such images or at all; in TensorFlow's words.
    """
    small = skeleton(graph_def)
    with tf.Graph().as_default() as graph:
        fed = Rewriting(small).free_name("fed")
        replaced = {images: tf.placeholder(tf.float32, shape, name=fed)} if images else {}
        tf.import_graph_def(small, input_map=replaced, name="")
    return graph
