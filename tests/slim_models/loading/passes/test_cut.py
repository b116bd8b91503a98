"""The part between pictures and logits, and what it shares with the graph that it came from."""

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from slim_models.loading.passes.cut import cut, shared
from slim_models.loading.passes.graph import Graph


def build(x):
    with tf.device("/device:GPU:0"):
        before = tf.identity(x * 2.0, name="before")
    with tf.control_dependencies([tf.no_op(name="waited_for")]):
        weights = tf.constant(np.ones((6, 100), np.float32), name="weights")
        y = tf.matmul(before, weights, name="y")
    tf.nn.softmax(y, name="after")
    tf.identity(tf.split(x, 2, axis=1, name="halves")[0], name="half")


@pytest.fixture
def built():
    with tf.Graph().as_default() as graph:
        build(tf.placeholder(tf.float32, [None, 6], name="x"))
    return graph


@pytest.fixture
def graph(built):
    return Graph(built.as_graph_def())


def test_from_the_images_to_the_logits(graph):
    before = graph.graph_def.SerializeToString(deterministic=True)
    part = cut(graph, "x:0", "y:0")
    assert graph.graph_def.SerializeToString(deterministic=True) == before
    assert set(part.nodes) == {"x", "mul", "mul/y", "before", "weights", "y"}
    assert not any(node.device or "^waited_for" in node.input for node in part.graph_def.node)
    assert part.inferred is graph.inferred  # nothing has another shape
    apart = Graph(part.graph_def).inferred
    for operation in apart.get_operations():
        for tensor in operation.outputs:
            assert tensor.shape.as_list() == graph.inferred.get_tensor_by_name(tensor.name).shape.as_list()


def test_an_inner_tensor_becomes_a_placeholder(graph):
    part = cut(graph, "before:0", "y:0")
    assert set(part.nodes) == {"before", "weights", "y"}
    images = part.inferred.get_tensor_by_name("before:0")
    assert (images.op.type, images.dtype, images.shape.as_list()) == ("Placeholder", tf.float32, [None, 6])
    assert part.inferred is not graph.inferred


def test_heavy_constants_of_the_rest_are_forgotten(graph):
    heavy = {"weights": graph.nodes["weights"], "elsewhere": tf.NodeDef()}
    assert list(cut(graph.alike(graph.graph_def, heavy), "x:0", "y:0").heavy) == ["weights"]


def test_a_condition_keeps_what_its_constants_wait_for():
    with tf.Graph().as_default() as built:
        x = tf.placeholder(tf.float32, [None, 6], name="x")
        otherwise, _ = tf.raw_ops.Switch(data=x, pred=tf.constant(False))
        with tf.control_dependencies([tf.no_op(name="waited_for")]):
            one = tf.constant(1.0, name="one")
            tf.subtract(one, otherwise, name="y")
    part = cut(Graph(built.as_graph_def()), "x:0", "y:0")
    assert part.nodes["one"].input == ["^waited_for"] and "waited_for" in part.nodes
    assert part.nodes["y"].input == ["one", "Switch"]  # which is in the branch by what it reads


def test_one_of_several_outputs_is_refused(graph):
    with pytest.raises(ValueError, match="halves:1 is one of several outputs of an operation"):
        cut(graph, "halves:1", "y:0")


def test_what_a_part_shares_with_its_graph(graph, built):
    part = cut(graph, "x:0", "y:0")
    rest, tensors = shared(part, None)
    assert len(rest.node) == len(part.nodes) and not tensors
    rest, tensors = shared(part, built)
    assert {node.name for node in rest.node} == set(part.nodes) - {"weights"}
    assert list(tensors) == ["weights:0"] and tensors["weights:0"].graph is built
    light = part.alike(part.graph_def, {"weights": part.nodes["weights"]})
    rest, tensors = shared(light, None)  # variables take their place
    assert "weights" not in {node.name for node in rest.node} and not tensors
