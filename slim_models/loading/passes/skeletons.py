"""Shapes and types of the tensors of a GraphDef, without its large constants."""

from __future__ import annotations

from collections.abc import Sequence

import tensorflow.compat.v1 as tf

from slim_models.graph_defs import SMALL, Rewriting, imported, size_of, without_value


def skeleton(graph_def: tf.GraphDef) -> tf.GraphDef:
    """The same graph, names, types and shapes, but constants that are not small have no values."""
    rewriting = Rewriting(graph_def)
    for node in graph_def.node:
        heavy = node.op == "Const" and size_of(node) > SMALL
        rewriting.copy(without_value(node) if heavy else node)
    return rewriting.result


def inferred(graph_def: tf.GraphDef, images: str | None = None, shape: Sequence[int | None] | None = None) -> tf.Graph:
    """A graph to read shapes and types from, by the names of `graph_def`; it holds no large constant.

    Args:
        graph_def: the graph, or its skeleton.
        images: a float32 tensor that is replaced by another of shape `shape`; None replaces nothing.
        shape: that shape; None is unknown.

    Raises:
        ValueError: the graph cannot be imported, with such images or at all.
    """
    small = skeleton(graph_def)
    with tf.Graph().as_default() as graph:
        fed = Rewriting(small).free_name("fed")
        replaced = {images: tf.placeholder(tf.float32, shape, name=fed)} if images else {}
        imported(small, replaced)
    return graph
