"""Constants for what a graph in training is fed; what else training leaves is told. (See also `test_marking`.)"""

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from slim_models.loading.passes.graph import Graph
from slim_models.loading.passes.training import batch_dependent, settled

ROW = np.array([[1.0, 2.0, 3.0]], np.float32)


def graph_of(build):
    with tf.Graph().as_default() as graph:
        tf.identity(build(tf.placeholder(tf.float32, [None, 3], name="x")), name="y")
    return Graph(graph.as_graph_def())


def settled_with(graph):
    lines = []
    part = settled(graph, "x:0", "y:0", lines.append)
    return part, lines, batch_dependent(part.graph_def, ["x:0"], ["y:0"])


def test_what_is_fed_in_training_becomes_a_constant():
    def build(x):
        for kind, name in ((tf.float32, "keep_prob"), (tf.float32, "a/dropout_rate"), (tf.bool, "phase_train")):
            x += tf.cast(tf.placeholder(kind, [], name=name), tf.float32)
        return x * tf.placeholder_with_default(1.0, [], name="scale")

    graph = graph_of(build)
    before = graph.graph_def.SerializeToString(deterministic=True)
    part, lines, warned = settled_with(graph)
    assert graph.graph_def.SerializeToString(deterministic=True) == before
    assert sorted(lines) == [
        "a/dropout_rate: 0.0 (guessed by its name)",
        "keep_prob: 1.0 (guessed by its name)",
        "phase_train: False (guessed by its name)",
    ]
    assert not warned
    assert [node.name for node in part.graph_def.node if node.op.startswith("Placeholder")] == ["x", "scale"]
    with tf.Graph().as_default(), tf.Session() as session:
        tf.import_graph_def(part.graph_def, name="")
        np.testing.assert_array_equal(session.run("y:0", {"x:0": ROW}), ROW + 1)


def test_a_graph_that_asks_for_nothing_stays_itself():
    graph = graph_of(lambda x: x * tf.placeholder_with_default(1.0, [], name="scale"))
    assert settled_with(graph) == (graph, [], [])


@pytest.mark.parametrize(("kind", "name"), [(tf.float32, "prior"), (tf.bool, "flag"), (tf.int32, "keep_prob")])
def test_what_nobody_knows_is_refused(kind, name):
    graph = graph_of(lambda x: x + tf.cast(tf.placeholder(kind, [], name=name), tf.float32))
    message = rf"depend on the input {name} \({kind.name} \[\]\), which is no picture.*--feed {name}=VALUE"
    with pytest.raises(ValueError, match=message):
        settled_with(graph)


def test_what_is_left_all_the_same_is_told():
    def build(x):
        rate = tf.placeholder(tf.float32, [], name="dropout_rate")
        return x * tf.floor(0.5 + tf.random.uniform(tf.shape(x))) + rate

    _, _, (sentence,) = settled_with(graph_of(build))
    assert "is random, as in dropout" in sentence


def test_dropout_that_drops_nothing_is_not_told():
    """As its constants are those of `settled`, not what it was fed."""

    def build(x):
        kept = tf.placeholder(tf.float32, [], name="keep_prob")
        return x / kept * tf.floor(kept + tf.random.uniform(tf.shape(x)))

    assert settled_with(graph_of(build))[2] == []
