"""The gradients that layers have of their own, beside TensorFlow's for the same operation, and by hand."""

import contextlib
import re

import numpy as np
import pytest
import tensorflow.compat.v1 as tf
from executed import executed

import slim_models
from slim_models.builders import fast_layers

# Size of the kernel, stride, height and width: kernels larger and smaller than the stride or equal to it, and
# pixels behind the last kernel, on which no output depends.
STRIDED = [(7, 2, 19, 20), (3, 2, 8, 9), (2, 2, 5, 6), (1, 2, 4, 5), (3, 3, 11, 10), (5, 4, 15, 16)]


def gradients_of(operation, context, inputs, weights, signal):
    """dy / d inputs and dy / d weights where y is the sum of outputs times signal; and the types of what was run."""
    graph = tf.Graph()
    with graph.as_default(), tf.Session() as session:
        fed = tf.placeholder(tf.float32, [None, *inputs.shape[1:]])
        constant = tf.constant(weights, tf.float32)
        with context(graph):
            outputs = operation(fed, constant)
        found = tf.gradients(tf.reduce_sum(outputs * tf.constant(signal, tf.float32)), [fed, constant])
        assert found[0].shape.as_list()[1:] == list(inputs.shape[1:])
        return session.run(found, {fed: inputs}), executed(session, found[0], {fed: inputs})


def check(operation, context, inputs_shape, weights_shape, signal_shape):
    """Both gradients are those that TensorFlow has for the operation; returns what was run for the inputs'."""
    rng = np.random.default_rng(0)
    arrays = [rng.normal(size=shape) for shape in (inputs_shape, weights_shape, signal_shape)]
    found, run = gradients_of(operation, context, *arrays)
    expected, run_by_tensorflow = gradients_of(operation, lambda graph: contextlib.nullcontext(), *arrays)
    assert run.keys() != run_by_tensorflow.keys()
    for got, want in zip(found, expected):
        np.testing.assert_allclose(got, want, atol=1e-5 * abs(want).max())
    return run


def test_stored_batch_norm():
    """Also those of gamma and beta, with which it can be trained further."""
    rng = np.random.default_rng(0)
    values = [rng.uniform(0.5, 2, 3).astype(np.float32) for _ in range(4)]
    inputs, weights = (rng.standard_normal((2, 4, 5, 3)).astype(np.float32) for _ in range(2))

    def gradients(context):
        with tf.Graph().as_default() as graph, tf.Session() as session:
            gamma, beta, mean, variance = map(tf.constant, values)
            fed = tf.constant(inputs)
            with context(graph):
                outputs = tf.nn.fused_batch_norm(fed, gamma, beta, mean, variance, is_training=False)[0]
            return session.run(tf.gradients(outputs * weights, [fed, gamma, beta]))

    expected = gradients(lambda graph: contextlib.nullcontext())
    for got, want in zip(gradients(fast_layers.stored_batch_norm), expected):
        np.testing.assert_allclose(got, want, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("rows", [1, 3, 4, 9])
def test_fully_connected(rows):
    check(tf.matmul, fast_layers.fully_connected, (rows, 6), (6, 4), (rows, 4))


def test_one_row_alone_is_a_product_as_ever_and_many_are_one_of_batches():
    """Of the branches of a condition only the one taken is run, which the trace tells."""
    with tf.Graph().as_default() as graph, tf.Session() as session:
        inputs = tf.placeholder(tf.float32, [None, 6])
        with fast_layers.fully_connected(graph):
            outputs = tf.matmul(inputs, tf.ones([6, 4]))
        gradient = tf.gradients(outputs * outputs, inputs)
        for rows, batched in ((1, False), (3, False), (4, True)):
            metadata, options = tf.RunMetadata(), tf.RunOptions(trace_level=tf.RunOptions.FULL_TRACE)
            session.run(gradient, {inputs: np.ones([rows, 6])}, options=options, run_metadata=metadata)
            nodes = [node for device in metadata.step_stats.dev_stats for node in device.node_stats]
            labels = [re.search(r" = (\w+)\(", node.timeline_label) for node in nodes]
            kinds = {label[1] for label in labels if label}
            assert any("BatchMatMul" in kind for kind in kinds) is batched


@pytest.mark.parametrize("count", [1, 4])
def test_pointwise_convolution(count):
    def operation(x, w):
        return tf.nn.conv2d(x, w, 1, "SAME")

    run = check(operation, fast_layers.pointwise_convolution, (count, 2, 3, 5), (1, 1, 5, 4), (count, 2, 3, 4))
    assert not [kind for kind in run if "Conv2DBackpropInput" in kind]


@pytest.mark.parametrize(("size", "stride", "height", "width"), STRIDED)
def test_colour_convolution(size, stride, height, width):
    def operation(x, w):
        return tf.nn.conv2d(x, w, stride, "VALID")

    places = [(extent - size) // stride + 1 for extent in (height, width)]
    run = check(operation, fast_layers.colour_convolution, (2, height, width, 3), (size, size, 3, 4), (2, *places, 4))
    assert not [kind for kind in run if "Conv2DBackpropInput" in kind]


def test_colour_convolution_by_hand():
    """One row of one channel: every output hands its signal to the pixels under its kernel."""
    outputs, kernel = [1.0, 10.0], [1.0, 2.0, 3.0]  # of the pixels 0 to 2 and 2 to 4, of six
    expected = [1, 2, 3 + 10, 20, 30, 0]
    with tf.Graph().as_default() as graph, tf.Session() as session:
        row = tf.zeros([1, 3, 6, 1])
        weights = tf.constant(np.array([np.zeros(3), kernel, np.zeros(3)]).reshape(3, 3, 1, 1), tf.float32)
        with fast_layers.colour_convolution(graph):
            y = tf.nn.conv2d(row, weights, 2, "VALID") * tf.reshape(tf.constant(outputs), [1, 1, 2, 1])
        (gradient,) = tf.gradients(y, [row])
        np.testing.assert_allclose(session.run(gradient)[0, 1, :, 0], expected, atol=1e-6)


def test_gradients_of_parameters_are_built_only_where_they_are_asked_for():
    """`slim_models.gradients` knows what is asked; a session would not run the others, but to build them takes time."""
    rng = np.random.default_rng(0)
    shapes = [(2, 3, 3, 5), (1, 1, 5, 4), (4,), (4,), (4, 6)]
    with tf.Graph().as_default() as graph, tf.Session() as session:
        fed, kernel, gamma, beta, weights = (tf.constant(rng.normal(size=shape), tf.float32) for shape in shapes)
        with fast_layers.pointwise_convolution(graph), fast_layers.stored_batch_norm(graph):
            net = tf.nn.conv2d(fed, kernel, 1, "SAME")
            net = tf.nn.fused_batch_norm(net, gamma, beta, tf.zeros([4]), tf.ones([4]), is_training=False)[0]
        with fast_layers.fully_connected(graph):
            net = tf.matmul(tf.reduce_mean(net, [1, 2]), weights)
        total = tf.reduce_sum(net * net)
        parameters = [kernel, gamma, beta, weights]

        def built(asked):
            before = len(graph.get_operations())
            found = slim_models.gradients(total, asked, "backprop")
            kinds = [op.name.rpartition("gradients")[2].partition("/")[2] for op in graph.get_operations()[before:]]
            return found, {
                word
                for word in ("Conv2DBackpropFilter", "Batch.*/Sum", "MatMul_grad/MatMul$")
                if any(re.search(word, kind) for kind in kinds)
            }

        found, parts = built([fed, *parameters])
        assert len(parts) == 3
        for got, want in zip(*session.run([found, tf.gradients(total, [fed, *parameters])])):
            np.testing.assert_allclose(got, want, rtol=1e-6)
        (alone,), parts = built([fed])
        assert not parts
        np.testing.assert_array_equal(*session.run([alone, found[0]]))


def test_which_layers_of_the_networks_have_which():
    """The ResNet's first convolution, and its 1x1 ones of 7 x 7 places; a VGG's fully connected ones."""
    found = {}
    for name in ("vgg16", "resnet_v1_50"):
        for operation in slim_models.build(name).graph.get_operations():
            if "_gradient_op_type" in operation.node_def.attr and operation.type in ("Conv2D", "MatMul"):
                kind = operation.get_attr("_gradient_op_type").decode()
                found.setdefault(kind, []).append(operation.name.rpartition("/")[0].removeprefix("resnet_v1_50/"))
    pointwise = [f"block4/unit_{unit}/bottleneck_v1/{layer}" for unit in (1, 2, 3) for layer in ("conv1", "conv3")]
    assert {kind: sorted(names) for kind, names in found.items()} == {
        "FullyConnected": ["fc6", "fc7", "fc8"],
        "ColourConvolution": ["conv1"],
        "PointwiseConvolution": sorted(
            ["block3/unit_6/bottleneck_v1/conv3", "block4/unit_1/bottleneck_v1/shortcut", *pointwise, "logits"]
        ),
    }
