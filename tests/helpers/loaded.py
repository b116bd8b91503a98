"""Graphs as they come from files: built, written as a GraphDef, imported into another graph."""

import numpy as np
import tensorflow.compat.v1 as tf

from slim_models.backward.rules import marked


def graph_def_of(function, shape=(1, 6), dtype=tf.float32):
    """The GraphDef of `y = function(x)`."""
    with tf.Graph().as_default() as graph:
        x = tf.placeholder(dtype, shape, name="x")
        tf.identity(function(x), name="y")
        return graph.as_graph_def()


def loaded(graph_def):
    """A marked graph_def in a graph of its own: its tensors x and y."""
    with tf.Graph().as_default():
        return tf.import_graph_def(marked(graph_def), return_elements=["x:0", "y:0"], name="")


def plain_session(graph):
    """Without the optimiser that fuses: TensorFlow 2.12's aborts at max(x, a x) in float64."""
    config = tf.ConfigProto()
    config.graph_options.rewrite_options.remapping = type(config.graph_options.rewrite_options).OFF
    return tf.Session(graph=graph, config=config)


def run(tensors, feeds):
    first = tensors[0] if isinstance(tensors, list) else tensors
    with plain_session(first.graph) as session:
        return session.run(tensors, feeds)


def differences(x, y, at, step=1e-5):
    """d sum(y) / d x at `at`, `[1, K]`, by central differences; for a graph in float64."""
    with plain_session(x.graph) as session:
        steps = step * np.eye(at.size).reshape(-1, *at.shape)
        return np.array(
            [
                (session.run(y, {x: at + delta}).sum() - session.run(y, {x: at - delta}).sum()) / (2 * step)
                for delta in steps
            ]
        ).reshape(at.shape)
