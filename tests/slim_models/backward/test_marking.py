"""Graphs from files: whose marks they carry, what training left in them, what they ask for."""

import numpy as np
import pytest
import tensorflow as tf2
import tensorflow.compat.v1 as tf
from loaded import graph_def_of, loaded, run

import slim_models
from slim_models.backward.rules import marked
from slim_models.loading.passes.training import batch_dependent, unfed

POINTS = np.array([[-3.7, -1.3, -0.3, 0.4, 2.1, 6.8]], np.float32)


def marks(graph_def):
    return {node.name: node.attr["_gradient_op_type"].s for node in graph_def.node if "_gradient_op_type" in node.attr}


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


@pytest.mark.parametrize("beta", [1.0, 1.7])
def test_silu_has_its_true_gradient(beta):
    """s + beta x s (1 - s) with s = sigmoid(beta x) (Ramachandran et al. 2017), without the writer's own."""
    graph_def = graph_def_of(lambda x: tf.nn.silu(x, beta=beta))
    assert [mark[:15] for mark in marks(graph_def).values()] == [b"CustomGradient-"]
    assert not marks(marked(graph_def))
    x, y = loaded(graph_def)
    (gradient,) = slim_models.gradients(y, [x], "backprop")
    s = sigmoid(beta * POINTS)
    np.testing.assert_allclose(run([y, gradient], {x: POINTS})[0], POINTS * s, rtol=1e-6)
    np.testing.assert_allclose(run(gradient, {x: POINTS}), s + beta * POINTS * s * (1 - s), rtol=1e-5, atol=1e-7)


def test_another_gradient_under_the_same_name_in_this_process_is_not_taken():
    @tf.RegisterGradient("CustomGradient-0")
    def of_another_graph(op, *signals):
        return [100 * signal for signal in signals]

    graph_def = graph_def_of(lambda x: tf.nn.relu(x, name="relu"))
    graph_def.node[-1].attr["_gradient_op_type"].s = b"CustomGradient-0"  # of the Identity at the end
    x, y = loaded(graph_def)
    (gradient,) = slim_models.gradients(y, [x], "guided")
    np.testing.assert_array_equal(run(gradient, {x: POINTS}), POINTS > 0)


def test_the_relus_are_marked_and_nothing_else_changes():
    @tf2.function(autograph=False)
    def inside(x):
        return tf.nn.silu(x)

    graph_def = graph_def_of(lambda x: tf.nn.relu6(inside(tf.nn.silu(tf.nn.relu(x, name="a"))), name="b"))
    graph_def.versions.producer = 1234
    before = graph_def.SerializeToString(deterministic=True)
    result = marked(graph_def)
    assert graph_def.SerializeToString(deterministic=True) == before
    assert marks(result) == {"a": b"GuidedRelu", "b": b"GuidedRelu6"}
    for function in result.library.function:
        assert not [node.name for node in function.node_def if "_gradient_op_type" in node.attr]
    for message in (graph_def, result):  # the rest is equal
        for node in [*message.node, *(node for function in message.library.function for node in function.node_def)]:
            node.attr.pop("_gradient_op_type", None)
    assert result == graph_def and result.library.function and result.versions.producer == 1234


def test_a_marked_graph_does_not_disturb_the_user_s_own():
    function = lambda x: tf.nn.relu(x) * np.array([-1, 1, 1, -1, 1, 1], np.float32)  # noqa: E731
    with tf.Graph().as_default():
        x = tf.constant(POINTS)
        y = function(x)
        loaded_x, loaded_y = loaded(graph_def_of(function))
        (guided,) = slim_models.gradients(loaded_y, [loaded_x], "guided")
        (own,) = tf.gradients(y, [x])
        np.testing.assert_array_equal(run(own, {}), [[0, 0, 0, -1, 1, 1]])
        np.testing.assert_array_equal(run(guided, {loaded_x: POINTS}), [[0, 0, 0, 0, 1, 1]])


def conditional(x, training, dropped):
    """As tf.layers does: one branch for training, one for inference."""
    return tf.cond(training, lambda: dropped(x), lambda: tf.identity(x))


IMAGES = (None, 4, 4, 3)


def batch_norm(x, training):
    ones = tf.ones([3])
    statistics = () if training else (ones, ones)
    return tf.nn.fused_batch_norm(x, ones, ones, *statistics, is_training=training, name="norm")[0]


def test_batch_norm_in_training_mode_is_named():
    graph_def = graph_def_of(lambda x: batch_norm(x, True), IMAGES)
    (sentence,) = batch_dependent(graph_def, ["x"], ["y"])
    assert sentence.startswith("'norm' (FusedBatchNormV3) is a batch norm in training mode: the result for a picture")
    assert not batch_dependent(graph_def_of(lambda x: batch_norm(x, False), IMAGES), ["x:0"], ["y:0"])


def test_several_are_told_in_one_sentence():
    def function(x):
        return batch_norm(batch_norm(batch_norm(x, True), True), True) + tf.random.uniform([3])

    norms, random = batch_dependent(graph_def_of(function, IMAGES), ["x"], ["y"])
    assert norms.startswith("'norm' (FusedBatchNormV3), like 2 others, is a batch norm in training mode")
    assert random.startswith("'random_uniform/RandomUniform' (RandomUniform) is random, as in dropout")


def test_only_what_the_outputs_need_of_the_inputs_counts():
    def function(x):
        before = tf.identity(x + tf.random.uniform([3]), name="before")
        batch_norm(before, True)
        return tf.identity(before)

    graph_def = graph_def_of(function, IMAGES)
    assert not batch_dependent(graph_def, ["before"], ["y"])
    assert ["RandomUniform" in sentence for sentence in batch_dependent(graph_def, ["x"], ["y"])] == [True]


def test_layer_norm_by_the_same_operation_is_of_one_picture():
    graph_def = graph_def_of(lambda x: tf2.keras.layers.LayerNormalization()(x), (None, 6))
    assert not batch_dependent(graph_def, ["x"], ["y"])
    graph_def = graph_def_of(
        lambda x: (
            tf.raw_ops.FusedBatchNormV3(
                x=tf.reshape(x, tf.stack([1, tf.shape(x)[0], 6, 1])),
                scale=tf.ones([tf.shape(x)[0]]),
                offset=tf.zeros([tf.shape(x)[0]]),
                mean=[],
                variance=[],
                data_format="NCHW",
            ).y
        ),
        (None, 6),
    )
    assert not batch_dependent(graph_def, ["x"], ["y"])


DROPOUTS = {
    "keep_prob": lambda x, kept: tf.nn.dropout(x, keep_prob=kept),
    "rate": lambda x, kept: tf.nn.dropout(x, rate=1 - kept),
    "as in 2016": lambda x, kept: x / kept * tf.floor(kept + tf.random.uniform(tf.shape(x))),
}


@pytest.mark.parametrize("name", DROPOUTS)
@pytest.mark.parametrize("as_tensor", [tf.constant, lambda kept: tf.placeholder_with_default(kept, [])])
def test_dropout_is_named_unless_it_keeps_everything(name, as_tensor):
    for kept in (0.5, 1.0):
        graph_def = graph_def_of(lambda x: DROPOUTS[name](x, as_tensor(kept)))  # noqa: B023
        sentences = batch_dependent(graph_def, ["x"], ["y"])
        assert [sentence.partition(" is ")[2][:21] for sentence in sentences] == ["random, as in dropout"] * (kept < 1)
        assert all("random_uniform/RandomUniform' (RandomUniform)" in sentence for sentence in sentences)
        with tf.Graph().as_default():
            x, y = tf.import_graph_def(graph_def, return_elements=["x:0", "y:0"])
            assert np.allclose(run(y, {x: POINTS}), POINTS) == (not sentences)  # the sentence is true


@pytest.mark.parametrize("random", [tf.random.normal, tf.random.truncated_normal])
def test_noise_is_named(random):
    graph_def = graph_def_of(lambda x: x + random([1, 6]))
    assert len(batch_dependent(graph_def, ["x"], ["y"])) == 1
    stateless = graph_def_of(lambda x: x + tf.random.stateless_uniform(tf.shape(x), [1, 2]))
    assert len(batch_dependent(stateless, ["x"], ["y"])) == 1


@pytest.fixture(params=["Merge", "If"])
def control_flow(request):
    """The operation that `tf.cond` ends in: of TensorFlow 1, or of 2 with functions for branches."""
    enabled = tf.control_flow_v2_enabled()
    (tf.enable_control_flow_v2 if request.param == "If" else tf.disable_control_flow_v2)()
    yield request.param
    (tf.enable_control_flow_v2 if enabled else tf.disable_control_flow_v2)()


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("negated", [True, False])
def test_a_branch_that_a_constant_rules_out_does_not_count(control_flow, training, negated):
    def function(x):
        phase = tf.placeholder_with_default(training != negated, [], name="phase_train")
        phase = tf.logical_not(phase) if negated else phase
        dropped = conditional(x, phase, lambda x: tf.nn.dropout(x, rate=0.5))
        return conditional(dropped, phase, lambda x: batch_norm(x, True))

    graph_def = graph_def_of(function, IMAGES)
    assert any(node.op in (control_flow, f"Stateless{control_flow}") for node in graph_def.node)
    kinds = {sentence.split()[1] for sentence in batch_dependent(graph_def, ["x"], ["y"])}
    assert kinds == ({"(FusedBatchNormV3)", "(RandomUniform)"} if training else set())


def test_an_undecided_branch_counts(control_flow):
    def function(x):
        return conditional(x, tf.placeholder(tf.bool, [], name="phase"), lambda x: tf.nn.dropout(x, rate=0.5))

    assert len(batch_dependent(graph_def_of(function), ["x"], ["y"])) == 1


def test_the_placeholders_that_are_not_fed():
    def function(x):
        tf.placeholder(tf.float32, [], name="not_read")
        labels = tf.placeholder(tf.float32, [], name="labels")
        net = x / tf.placeholder(tf.float32, [], name="keep_prob")
        with tf.control_dependencies([tf.placeholder(tf.bool, [], name="waited_for")]):
            net = tf.identity(net, name="middle")
        tf.identity(net * labels, name="loss")
        return net * tf.placeholder_with_default(1.0, [], name="scale")

    graph_def = graph_def_of(function)

    def names(inputs, outputs):
        return {node.name for node in unfed(graph_def, inputs, outputs)}

    assert names(["x"], ["y"]) == {"keep_prob", "waited_for", "scale"}
    assert names(["x:0", "keep_prob:0"], ["y:0"]) == {"waited_for", "scale"}
    assert names(["middle"], ["y"]) == {"scale"}
    assert names([], ["y", "loss"]) == {"x", "keep_prob", "waited_for", "scale", "labels"}
