"""Graphs of a training explained as in inference: batch norm by what it has stored, dropout that drops nothing."""

import functools

import numpy as np
import pytest
import tensorflow.compat.v1 as tf
from foreign import constant, load, write_pb
from tensorflow.python.training.moving_averages import assign_moving_average

from gradcam.explainer import Explainer
from slim_models.loading.passes.graph import Graph
from slim_models.loading.passes.inference import inference, stored_averages

RNG = np.random.default_rng(0)
PICTURES = RNG.integers(0, 256, (3, 24, 24, 3)).astype(np.uint8)


def shifted_moments(net, axes):
    """As TensorFlow computed them before 1.5."""
    shift = tf.stop_gradient(tf.reduce_mean(net, axes))
    mean = tf.reduce_mean(net - shift, axes)
    variance = tf.reduce_mean(tf.math.squared_difference(net, shift), axes) - tf.square(mean)
    return mean + shift, variance


def batch_norm(
    net,
    name,
    training,
    fused=True,
    in_place=False,
    resource=False,
    average=assign_moving_average,
    moments=tf.nn.moments,
):
    """Batch norm as layers write it, with its updates."""
    size = [net.shape[-1]]
    with tf.variable_scope(name, use_resource=resource):
        gamma, variance = (tf.get_variable(x, size, initializer=tf.ones_initializer()) for x in ("gamma", "variance"))
        beta, mean = (tf.get_variable(x, size, initializer=tf.zeros_initializer()) for x in ("beta", "mean"))
    if not training:
        return tf.nn.batch_normalization(net, mean, variance, beta, gamma, 1e-3)
    if fused:
        net, *now = tf.nn.fused_batch_norm(net, gamma, beta, epsilon=1e-3, is_training=True)
    else:
        now = moments(net, list(range(net.shape.ndims - 1)))
    updates = [average(stored, value, 0.7) for stored, value in zip((mean, variance), now)]
    if in_place:
        with tf.control_dependencies(updates):
            net, *now = map(tf.identity, (net, *now))
    else:
        tf.add_to_collection(tf.GraphKeys.UPDATE_OPS, tf.group(*updates))
    return net if fused else tf.nn.batch_normalization(net, *now, beta, gamma, 1e-3)


def classifier(images, training, **norm):
    """Two convolutions with batch norm, dropout, a dense layer."""
    net = images / 255.0
    for name, sizes in {"first": (3, 6), "second": (6, 8)}.items():
        kernel = tf.get_variable(f"{name}/kernel", initializer=constant([3, 3, *sizes]))
        net = tf.nn.relu(batch_norm(tf.nn.conv2d(net, kernel, 2, "SAME"), name, training, **norm))
    net = tf.reduce_mean(net, [1, 2])
    net = tf.nn.dropout(net, rate=0.6) if training else net
    return tf.matmul(net, tf.get_variable("head", initializer=constant([8, 5], 2)))


def by_subtracting(stored, value, keep):
    return tf.assign_sub(stored, (stored - value) * (1 - keep))


begun_at_zero = functools.partial(assign_moving_average, zero_debias=True)


def checkpoint(path, net):
    """A training of some steps, and what the network for inference predicts with its weights."""
    with tf.Graph().as_default() as graph, tf.Session() as session:
        tf.set_random_seed(1)
        images, labels = tf.placeholder(tf.float32, [None, 24, 24, 3], "x"), tf.placeholder(tf.int64, [None])
        logits = tf.identity(net(images, True), "logits")
        loss = tf.losses.sparse_softmax_cross_entropy(labels, logits)
        updates = graph.get_collection(tf.GraphKeys.UPDATE_OPS)
        optimizer = tf.train.MomentumOptimizer(0.05, 0.9)
        with tf.control_dependencies(updates):
            train = optimizer.minimize(loss)
        session.run(tf.global_variables_initializer())
        for _ in range(4):
            session.run(train, {images: RNG.uniform(0, 255, (8, 24, 24, 3)), labels: RNG.integers(0, 5, 8)})
        prefix = tf.train.Saver().save(session, str(path / "model.ckpt"))
    with tf.Graph().as_default(), tf.Session() as session:
        images = tf.placeholder(tf.float32, [None, 24, 24, 3])
        logits = net(images, False)
        tf.train.Saver().restore(session, prefix)
        return prefix, session.run(logits, {images: PICTURES})


@pytest.mark.filterwarnings("error:.*(batch norm|random)")
@pytest.mark.parametrize(
    ("average", "fused", "resource", "in_place"),
    [  # each pair of them once, at least
        (by_subtracting, True, False, False),
        (by_subtracting, False, True, True),
        (assign_moving_average, True, True, True),
        (assign_moving_average, False, False, False),
        (begun_at_zero, True, False, True),
        (begun_at_zero, False, True, False),
    ],
)
def test_a_checkpoint_of_a_training_says_what_inference_says(average, fused, resource, in_place, tmp_path):
    norm = {"average": average, "fused": fused, "resource": resource, "in_place": in_place}
    prefix, expected = checkpoint(tmp_path, functools.partial(classifier, **norm))
    lines = []
    network = load(prefix, say=lines.append)
    assert lines.count(
        "training: 2 batch norms take the averages that are stored, 1 dropout drops nothing (found: by their form)"
    )
    with Explainer(network, rules=[]) as explainer:
        together = explainer.explain(PICTURES).logits
        alone = np.concatenate([explainer.explain(PICTURES[n : n + 1]).logits for n in range(3)])
    np.testing.assert_allclose(together, expected, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(alone, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.filterwarnings("error:.*(batch norm|random)")
@pytest.mark.parametrize("moments", [tf.nn.moments, shifted_moments])
def test_moments_however_they_are_computed_and_of_whatever(moments, tmp_path):
    """Two norms in a row, the second of a difference, as after a layer that subtracts."""

    def net(images, training):
        norm = functools.partial(batch_norm, training=training, fused=False, moments=moments)
        net = tf.nn.conv2d(images / 255.0, tf.get_variable("kernel", initializer=constant([3, 3, 3, 6])), 2, "SAME")
        net = tf.nn.relu(norm(norm(net, "first") - 0.5, "second"))
        return tf.matmul(tf.reduce_mean(net, [1, 2]), tf.get_variable("head", initializer=constant([6, 5], 2)))

    prefix, expected = checkpoint(tmp_path, net)
    lines = []
    network = load(prefix, say=lines.append)
    assert "training: 2 batch norms take the averages that are stored (found: by their form)" in lines
    with Explainer(network, rules=[]) as explainer:
        np.testing.assert_allclose(explainer.explain(PICTURES).logits, expected, rtol=1e-4, atol=1e-5)


def frozen(training):
    """The classifier's graph with its variables as constants."""
    with tf.Graph().as_default() as graph, tf.Session() as session:
        images = tf.placeholder(tf.float32, [None, 24, 24, 3], "x")
        logits = tf.identity(classifier(images, training), "logits")
        session.run(tf.global_variables_initializer())
        return tf.graph_util.convert_variables_to_constants(session, graph.as_graph_def(), [logits.op.name])


def test_what_was_frozen_in_training_has_nothing_stored(tmp_path):
    path = write_pb(tmp_path / "net.pb", frozen(training=True))
    lines = []
    with pytest.warns(RuntimeWarning, match="like 1 other, is a batch norm in training mode") as caught:
        load(path, say=lines.append)
    assert not [warning for warning in caught if "random" in str(warning.message)]
    assert "training: 1 dropout drops nothing (found: by their form)" in lines


def dropout_of_tensorflow(x, kept):
    return tf.nn.dropout(x, rate=1 - kept)


def before_2019(x, kept):
    return x / kept * tf.floor(kept + tf.random.uniform(tf.shape(x)))


def in_2019(x, kept):
    scale = tf.constant(1.0) / (tf.constant(1.0) - tf.constant(1 - kept))
    return x * scale * tf.cast(tf.random.uniform(tf.shape(x)) >= tf.constant(1 - kept), tf.float32)


def chosen(x, kept):
    mask = tf.random.uniform(tf.shape(x)) >= 1 - kept
    return tf.where_v2(mask, x * (1 / kept), tf.zeros_like(x))


def of_whole_channels(x, kept):
    return tf.nn.dropout(x, rate=1 - kept, noise_shape=[1, 5])


def passed(build):
    """What the pass makes of logits `build(x)`, and what it says."""
    with tf.Graph().as_default() as graph:
        tf.identity(build(tf.placeholder(tf.float32, [None, 5], "x")), name="y")
    lines = []
    before = Graph(graph.as_graph_def())
    return before, inference(before, stored_averages(before), "x:0", "y:0", lines.append), lines


@pytest.mark.parametrize("kept", [0.3, 0.5, 0.9])
@pytest.mark.parametrize("drop", [dropout_of_tensorflow, before_2019, in_2019, chosen, of_whole_channels])
def test_dropout_is_told_by_its_form(drop, kept):
    _, part, lines = passed(lambda x: 2 * drop(x, kept) + drop(3 * x, kept))
    assert lines == ["training: 2 dropouts drop nothing (found: by their form)"]
    assert not [node for node in part.graph_def.node if "Random" in node.op]
    row = np.arange(5, dtype=np.float32)[None]
    with tf.Graph().as_default(), tf.Session() as session:
        tf.import_graph_def(part.graph_def, name="")
        np.testing.assert_allclose(session.run("y:0", {"x:0": row}), 5 * row, rtol=1e-6)


@pytest.mark.parametrize(
    "build",
    [
        lambda x: x * tf.floor(0.5 + tf.random.uniform(tf.shape(x))),  # not divided by what is kept
        lambda x: x / 0.4 * tf.floor(0.5 + tf.random.uniform(tf.shape(x))),  # but by something else
        lambda x: x + tf.random.normal(tf.shape(x)),
        lambda x: x * tf.random.uniform(tf.shape(x)),
        lambda x: (
            x / 0.5 * tf.cast(tf.constant(0.5) >= tf.random.uniform(tf.shape(x)), tf.float32)
        ),  # the other way round
        lambda x: x * 2,
    ],
)
def test_what_is_none_stays(build):
    before, part, lines = passed(build)
    assert part is before
    assert not lines


def averaged(build):
    """Names of what has a stored average in a graph `build(x)`, and of the variables."""
    with tf.Graph().as_default() as graph:
        build(tf.placeholder(tf.float32, [None, 4], "x"))
    return {name: node.name for name, node in stored_averages(Graph(graph.as_graph_def())).items()}


def test_averages_of_weights_are_none_of_batch_norm():
    def build(x):
        weights = tf.get_variable("w", [4, 3])
        tf.train.ExponentialMovingAverage(0.9).apply([weights])
        return tf.matmul(x, weights)

    assert averaged(build) == {}


def test_an_average_alone_is_not_taken():
    """As of the mean of what a layer gives, without its variance."""

    def build(x):
        center = tf.get_variable("center", [5], initializer=tf.zeros_initializer())
        mean = tf.reduce_mean(x, 0)
        tf.assign_sub(center, (center - mean) * 0.1)
        return x - mean

    before, part, lines = passed(build)
    assert len(stored_averages(before)) == 1
    assert part is before
    assert not lines


def test_two_averages_of_one_thing_are_not_chosen_from():
    def build(x):
        mean = tf.reduce_mean(x, 0)
        for name in "ab":
            average = tf.get_variable(name, [4])
            tf.assign_sub(average, (average - mean) * 0.1)

    assert averaged(build) == {}


def test_a_frozen_graph_for_inference_stays():
    before = Graph(frozen(training=False))
    assert inference(before, stored_averages(before), "x:0", "logits:0", pytest.fail) is before
