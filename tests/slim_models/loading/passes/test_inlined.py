"""Calls of functions, as TensorFlow 2 writes them, with their operations in their place."""

import numpy as np
import pytest
import tensorflow as tf2
import tensorflow.compat.v1 as tf

from slim_models.loading.passes.graph import Graph
from slim_models.loading.passes.inlined import inlined

POINTS = np.array([[-1.5, 0.5, 2.0]], np.float32)


@tf2.function(autograph=False)
def squared(x):
    return tf.square(x, name="square")


@tf2.function(autograph=False)
def calling(x):
    return tf.nn.relu(squared(x) - 1, name="inner")


def graph_of(function):
    with tf.Graph().as_default() as graph:
        weights = tf.constant(np.arange(900.0).reshape(3, 300), tf.float32, name="weights")
        y = tf.identity(function(tf.placeholder(tf.float32, [None, 3], name="x")), name="y")
        tf.matmul(y, weights, name="z")
    return Graph(graph.as_graph_def())


def run(graph, tensor):
    with tf.Graph().as_default(), tf.Session() as session:
        tf.import_graph_def(graph.graph_def, name="")
        return session.run(tensor, {"x:0": POINTS})


@pytest.mark.parametrize("outputs", [["z:0"], ["z"], []])
def test_the_operations_of_functions_in_functions(outputs):
    graph = graph_of(calling)
    before = graph.graph_def.SerializeToString(deterministic=True)
    flat = inlined(graph, outputs)
    assert graph.graph_def.SerializeToString(deterministic=True) == before
    assert not flat.graph_def.library.function
    assert {"Relu", "Square"} <= {node.op for node in flat.graph_def.node}
    np.testing.assert_array_equal(run(flat, "z:0"), run(graph, "z:0"))  # the weights have their values again


def test_a_function_that_asks_not_to_be_inlined():
    graph = graph_of(calling)
    for function in graph.graph_def.library.function:
        function.attr["_noinline"].b = True
    flat = inlined(graph, ["z"])
    np.testing.assert_array_equal(run(flat, "z:0"), run(graph, "z:0"))
    assert "Square" in {node.op for node in flat.graph_def.node}
    assert all(function.attr["_noinline"].b for function in graph.graph_def.library.function)


def test_a_graph_without_calls_stays_itself():
    graph = graph_of(tf.nn.relu)
    assert inlined(graph, ["z"]) is graph
    graph.graph_def.library.CopyFrom(graph_of(calling).graph_def.library)
    assert inlined(graph, ["z"]) is graph  # nobody calls them


def test_a_frozen_variable_that_a_function_returns():
    """Its reading has become an Identity, whose output has another name."""

    @tf2.function(autograph=False)
    def read(x):
        return tf.identity(x, name="reading")

    graph = graph_of(read)
    graph_def = tf.GraphDef()
    graph_def.CopyFrom(graph.graph_def)
    (function,) = graph_def.library.function
    (key,) = function.ret
    function.ret[key] = "reading:value:0"
    flat = inlined(Graph(graph_def), ["z"])
    np.testing.assert_array_equal(run(flat, "z:0"), run(graph, "z:0"))
