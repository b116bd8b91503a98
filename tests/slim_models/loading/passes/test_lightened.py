"""Heavy constants, which go beside the graph and come back as variables."""

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from slim_models.loading.passes.graph import Graph
from slim_models.loading.passes.lightened import lightened, restore, variables_of


@pytest.fixture
def graph(monkeypatch):
    monkeypatch.setattr("slim_models.loading.passes.lightened._HEAVY", 10)
    with tf.Graph().as_default() as graph:
        x = tf.placeholder(tf.float32, [None, 5], name="x")
        y = tf.matmul(x, tf.constant(np.arange(20.0).reshape(5, 4), tf.float32, name="weights"))
        y += tf.constant(np.arange(4.0), tf.float32, name="biases")
        tf.gather(y, tf.constant([0] * 11, name="indices"), axis=0, name="y")
    return Graph(graph.as_graph_def())


def test_what_is_heavy_goes_and_comes_back_as_a_variable(graph):
    shapes, before = graph.inferred, graph.graph_def.SerializeToString(deterministic=True)
    light = lightened(graph)
    assert graph.graph_def.SerializeToString(deterministic=True) == before
    assert list(light.heavy) == ["weights"]  # the biases are light, and indices are no floats
    assert light.heavy["weights"] is graph.nodes["weights"]
    assert light.nodes["weights"].op == "ImmutableConst" and light.nodes["biases"].op == "Const"
    assert light.inferred is shapes
    with tf.Graph().as_default(), tf.Session() as session:
        variables = variables_of(light.heavy)
        restore(light.heavy, variables, session)
        weights = tf.convert_to_tensor(variables["weights"])
        (y,) = tf.import_graph_def(light.graph_def, {"weights:0": weights}, return_elements=["y:0"])
        found = session.run(y, {"import/x:0": np.ones((1, 5))})
    np.testing.assert_array_equal(found, [[40, 46, 52, 58]] * 11)


def test_the_shapes_are_those_of_the_graph(graph):
    light = lightened(graph)
    for operation in light.inferred.get_operations():
        for tensor in operation.outputs:
            assert tensor.shape.as_list() == graph.inferred.get_tensor_by_name(tensor.name).shape.as_list()


def test_a_light_graph_stays_itself(graph, monkeypatch):
    monkeypatch.setattr("slim_models.loading.passes.lightened._HEAVY", 20)
    assert lightened(graph) is graph
