"""The list of rewrites and who runs it: what fails is named, what changes nothing costs nothing."""

import pkgutil

import numpy as np
import pytest
import tensorflow.compat.v1 as tf
from foreign import classifier

from slim_models.loading import passes
from slim_models.loading.passes import PART, WHOLE, Found, Graph, rewritten
from slim_models.loading.passes.graph import Rewriting
from slim_models.mistakes import BadValue, UnknownName

FOUND = Found(images="input:0", logits="logits:0")


@pytest.fixture
def graph():
    with tf.Graph().as_default() as graph:
        classifier(tf.placeholder(tf.float32, [None, 32, 32, 3], name="input"))
    return Graph(graph.as_graph_def())


def failing(error):
    def rewrite(graph, found):
        raise error

    return rewrite


@pytest.mark.parametrize("kind", [BadValue, UnknownName])
def test_a_pass_that_fails_is_named_and_its_error_keeps_its_kind(kind, graph):
    rewrites = {"first": lambda graph, found: graph, "second": failing(kind("there is no way"))}
    with pytest.raises(kind) as caught:
        rewritten(graph, rewrites, FOUND)
    assert str(caught.value) == "there is no way (in the pass second)"
    assert str(caught.value.__cause__) == "there is no way"


@pytest.mark.parametrize("error", [ValueError("ours"), KeyError("ours"), ZeroDivisionError()])
def test_what_is_no_mistake_of_the_users_is_left_as_it_is(error, graph):
    with pytest.raises(type(error)) as caught:
        rewritten(graph, {"first": failing(error)}, FOUND)
    assert caught.value is error


def test_a_pass_that_makes_no_graph_is_named_and_not_the_next(graph):
    def breaking(graph, found):
        rewriting = Rewriting(graph)
        for node in graph.graph_def.node:
            rewriting.copy(node).op = "MyOwnRelu" if node.op == "Relu" else node.op
        return rewriting.finished()

    rewrites = {"breaking": breaking, "second": lambda graph, found: graph}
    with pytest.raises(BadValue, match=r"^TensorFlow cannot import the graph: .*MyOwnRelu.* \(in the pass breaking\)$"):
        rewritten(graph, rewrites, FOUND)


def test_every_pass_is_asked_in_the_order_of_the_list(graph):
    asked = []

    def asking(name):
        return lambda graph, found: asked.append((name, found)) or graph

    assert rewritten(graph, {name: asking(name) for name in "bca"}, FOUND) is graph
    assert asked == [("b", FOUND), ("c", FOUND), ("a", FOUND)]


def test_nothing_changes_before_the_search(graph):
    assert rewritten(graph, WHOLE, Found()) is graph


def test_the_part_is_inferred_once_and_for_two_and_three_pictures(graph, monkeypatch):
    made, real = [], tf.import_graph_def
    monkeypatch.setattr(tf, "import_graph_def", lambda *args, **named: made.append(1) or real(*args, **named))
    part = rewritten(graph, PART, FOUND)
    assert part.inferred is graph.inferred  # whatever was left out, the rest has the shapes that it had
    assert len(made) == 3
    marks = {name: node.attr["_gradient_op_type"].s for name, node in part.nodes.items() if node.op == "Relu"}
    assert marks == {"Relu": b"GuidedRelu", "Relu_1": b"GuidedRelu"}
    assert "probabilities" in graph.nodes and "probabilities" not in part.nodes


def test_several_rewrites_of_one_graph():
    """A placeholder of training, integers, NCHW and a fixed number of pictures; beside the plain network."""
    kernel = np.random.default_rng(0).normal(0, 0.3, (3, 3, 3, 4)).astype(np.float32)

    def build(x, data_format="NHWC", number=-1):
        axes = [2, 3] if data_format == "NCHW" else [1, 2]
        net = tf.nn.relu(tf.nn.conv2d(tf.cast(x, tf.float32) / 255, kernel, 1, "SAME", data_format=data_format))
        return tf.reshape(tf.reduce_mean(net, axes), [number, 4], name="means")

    with tf.Graph().as_default() as graph:
        x = tf.placeholder(tf.uint8, [1, 3, 8, 8], name="x")
        tf.multiply(build(x, "NCHW", 1), tf.placeholder(tf.float32, [], name="keep_prob"), name="y")
    part = rewritten(Graph(graph.as_graph_def()), PART, Found(images="x:0", logits="y:0"))
    pixels = np.random.default_rng(1).integers(0, 256, (3, 8, 8, 3))
    with tf.Graph().as_default(), tf.Session() as session:
        tf.import_graph_def(part.graph_def, name="")
        found = session.run("y:0", {"x:0": pixels.transpose(0, 3, 1, 2)})
        np.testing.assert_allclose(found, session.run(build(tf.constant(pixels))), rtol=1e-5)


def test_a_name_of_the_face_is_no_module_of_the_folder():
    """`from slim_models.loading.passes import cut` would else be the one or the other, by who was imported first."""
    modules = {module.name for module in pkgutil.iter_modules(passes.__path__)}
    assert not modules & set(passes.__all__)
    assert {"inlined", "lightened", "cut", "training", "unfused"} <= modules
    assert {*WHOLE, *PART} - {"marked"} <= modules  # a pass has the name of the module to look into
