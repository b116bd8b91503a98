"""Graphs in NCHW, turned into NHWC: beside the same networks built in NHWC, and beside NCHW itself."""

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from slim_models.loading.passes.channels_last import channels_last
from slim_models.loading.passes.graph import Graph
from slim_models.loading.passes.plain_convolutions import plain_convolutions

IMAGES = np.random.default_rng(0).normal(size=(3, 3, 24, 20)).astype(np.float32)


def rewritten(graph_def):
    return channels_last(Graph(graph_def)).graph_def


class Layers:
    """Layers in either layout, with the same weights in the same order of calls."""

    def __init__(self, data_format):
        self.format, self._rng = data_format, np.random.default_rng(1)
        self.channels, self.height, self.width = (1, 2, 3) if data_format == "NCHW" else (3, 1, 2)

    def weights(self, *shape, center=0.0):
        scale = np.sqrt(2 / np.prod(shape[:-1])) if len(shape) > 1 else 0.2
        return tf.constant(center + self._rng.normal(0, scale, shape), tf.float32)

    def axes(self, height, width, other):
        """A value per axis: `height` and `width`, and `other` for pictures and channels."""
        return [{self.height: height, self.width: width}.get(axis, other) for axis in range(4)]

    def pixels(self, tensor):
        """`[C]` in the shape that broadcasts over NCHW, or NHWC."""
        return tensor[:, None, None] if self.format == "NCHW" else tensor

    def conv(self, x, kernel, stride=(1, 1), padding="SAME", rate=(1, 1), name=None):
        weights = self.weights(*kernel)
        strides, rates = self.axes(*stride, 1), self.axes(*rate, 1)
        return tf.nn.conv2d(
            x, weights, strides=strides, padding=padding, data_format=self.format, dilations=rates, name=name
        )

    def bias(self, x, depth):
        return tf.nn.bias_add(x, self.weights(depth), data_format=self.format)

    def norm(self, x, depth):
        arrays = [self.weights(depth, center=c) for c in (1.0, 0.0, 0.0, 2.0)]
        return tf.nn.fused_batch_norm(x, *arrays, is_training=False, data_format=self.format)[0]

    def pool(self, x, function, size=(3, 2), stride=(2, 3)):
        return function(x, self.axes(*size, 1), self.axes(*stride, 1), "SAME", data_format=self.format)

    def flat(self, x):
        """`[N, C * h * w]`, in this order in either layout."""
        x = x if self.format == "NCHW" else tf.transpose(x, (0, 3, 1, 2))
        size = int(np.prod(x.shape.as_list()[1:]))
        return tf.reshape(x, [-1, size]), size

    def dense(self, x, depth):
        return tf.matmul(x, self.weights(depth, 5)) + self.weights(5)


def vgg(layers, x):
    """Explicit padding, strides and rates that tell height from width, bias, max pooling, flatten."""
    padding = layers.axes([2, 1], [0, 3], [0, 0])
    x = tf.nn.relu(layers.bias(layers.conv(x, (3, 3, 3, 8), (2, 1), padding), 8))
    x = tf.nn.relu(layers.bias(layers.conv(x, (3, 3, 8, 6), rate=(2, 1)), 6), name="inner")
    return layers.dense(*layers.flat(layers.pool(x, tf.nn.max_pool)))


def without_pooling(layers, x):
    """TensorFlow 2.12, with oneDNN, mixes up pooling in NCHW and in NHWC of the same sizes in one process."""
    x = layers.norm(layers.conv(x, (3, 3, 3, 8), (2, 1), layers.axes([2, 1], [0, 3], [0, 0])), 8)
    x = tf.nn.relu(layers.bias(layers.conv(x, (3, 3, 8, 8), rate=(2, 1)), 8) + x, name="inner")
    return layers.dense(*layers.flat(layers.conv(x, (2, 2, 8, 6), (2, 3))))


def resnet(layers, x):
    """Pad, batch norm, a sum, a global mean that keeps its axes, a convolution on it and Squeeze."""
    x = layers.norm(layers.conv(tf.pad(x, layers.axes([1, 2], [3, 0], [0, 0])), (3, 3, 3, 8), (2, 2), "VALID"), 8)
    x = tf.pad(tf.nn.relu(x), layers.axes([1, 1], [2, 0], [0, 0]), constant_values=-1.0)
    shortcut = layers.pool(x, tf.nn.avg_pool)
    x = layers.norm(layers.conv(x, (3, 3, 8, 8), (2, 3)), 8)
    x = tf.nn.leaky_relu(x + shortcut, name="inner")
    mean = tf.reduce_mean(x, [layers.height, layers.width], keepdims=True)
    return tf.squeeze(layers.conv(mean, (1, 1, 8, 5)), [layers.height, layers.width])


def inception(layers, x):
    """Concat, Split, reductions that drop their axes, numbers per channel and per network."""
    x = tf.tanh((x - layers.pixels(tf.constant([0.1, 0.2, 0.3]))) * 1.5)
    x = layers.conv(x, (3, 3, 3, 6))
    a, b = tf.split(x, 2, axis=layers.channels)
    c = tf.split(x, [2, 4], axis=layers.channels - 4)[1]
    a, c = layers.conv(a, (3, 3, 3, 4)), layers.conv(c, (1, 3, 4, 4))
    x = tf.concat([a, b, tf.nn.elu(c)], axis=layers.channels - 4)
    x = tf.nn.relu6(x * layers.pixels(layers.weights(11)) + 0.5, name="inner")
    scale = tf.reduce_max(x, layers.channels, keepdims=True) + tf.reduce_max(x, [1, 2, 3], keepdims=True)
    return layers.dense(tf.reduce_mean(x / (1 + scale), [layers.height, layers.width]), 11)


def mobilenet(layers, x):
    """Depthwise convolutions, swish with its two tensors, squeeze and excitation through a fully connected layer."""
    x = layers.norm(layers.conv(x, (3, 3, 3, 4), (2, 2)), 4)
    x, _ = tf.identity_n([x * tf.sigmoid(x), x])
    kernel, strides = layers.weights(3, 3, 4, 2), layers.axes(2, 2, 1)
    x = tf.nn.depthwise_conv2d(x, kernel, strides, "SAME", data_format=layers.format)
    mean = tf.reduce_mean(x, [layers.height, layers.width])
    shape = [-1, 8, 1, 1] if layers.format == "NCHW" else [-1, 1, 1, 8]
    gate = tf.reshape(tf.sigmoid(tf.matmul(mean, layers.weights(8, 8))), shape)
    x = tf.multiply(x, gate, name="inner")
    return layers.dense(*layers.flat(x))


def mirrored(layers, x):
    """A size read from a tensor, mirrored padding, transposed convolution, a mean per row."""
    x = tf.pad(layers.conv(x, (3, 3, 3, 4)), layers.axes([1, 0], [2, 1], [0, 0]), mode="REFLECT")
    sizes = tf.shape(x)
    double = tf.stack(
        [sizes[0], *[{layers.channels: 2}.get(a, sizes[a] * (2 if a != layers.width else 3)) for a in (1, 2, 3)]]
    )
    kernel, strides = layers.weights(3, 3, 2, 4), layers.axes(2, 3, 1)
    x = tf.nn.conv2d_transpose(x, kernel, double, strides, data_format=layers.format)
    x = tf.nn.softplus(x, name="inner")
    rows = tf.reduce_mean(x, layers.width)  # [N, C, H] or [N, H, C]: the order differs
    rows = rows if layers.format == "NCHW" else tf.transpose(rows, (0, 2, 1))
    return layers.dense(tf.reshape(rows, [-1, 100]), 100)


NETWORKS = [vgg, without_pooling, resnet, inception, mobilenet, mirrored]


def graph_def_of(network, data_format):
    with tf.Graph().as_default() as graph:
        shape = [None, 3, 24, 20] if data_format == "NCHW" else [None, 24, 20, 3]
        x = tf.placeholder(tf.float32, shape, name="x")
        tf.identity(network(Layers(data_format), x), name="logits")
        return graph.as_graph_def(add_shapes=True)


def computed(graph_def, images):
    """Logits, the inner activations and the gradients of one logit by them and by the images.

    On a processor for which oneDNN is not on, TensorFlow has no gradient of a convolution with dilation: as in `load`,
    they are written as plain ones, which has tests of its own.
    """
    with tf.Graph().as_default(), tf.Session() as session:
        tf.import_graph_def(plain_convolutions(Graph(graph_def)).graph_def, name="")
        x, inner, logits = (session.graph.get_tensor_by_name(f"{name}:0") for name in ("x", "inner", "logits"))
        gradients = tf.gradients(logits[:, 2], [inner, x])
        return session.run([logits, inner, *gradients], {x: images})


def run(graph_def, tensors, images):
    with tf.Graph().as_default(), tf.Session() as session:
        tf.import_graph_def(graph_def, name="")
        return session.run(tensors, {"x:0": images})


def is_close(ours, theirs):
    assert ours.shape == theirs.shape
    np.testing.assert_allclose(ours / np.abs(theirs).max(), theirs / np.abs(theirs).max(), atol=1e-5)


def to_last(array):
    return np.transpose(array, (0, 2, 3, 1))


@pytest.mark.parametrize("network", NETWORKS)
def test_computes_what_the_network_built_in_nhwc_does(network):
    converted = rewritten(graph_def_of(network, "NCHW"))
    logits, inner, by_inner, by_images = computed(converted, IMAGES)
    expected = computed(graph_def_of(network, "NHWC"), to_last(IMAGES))
    assert np.ptp(expected[0], axis=0).max() > 0.01  # the pictures make a difference
    for ours, theirs in zip((logits, inner, by_inner, to_last(by_images)), expected):
        is_close(ours, theirs)


@pytest.mark.parametrize("network", [without_pooling, inception, mobilenet, mirrored])
def test_computes_what_nchw_does_where_tensorflow_can(network):
    """TensorFlow with oneDNN has NCHW on CPUs too, though not every gradient."""
    original = graph_def_of(network, "NCHW")
    try:
        logits, inner = run(original, ["logits:0", "inner:0"], IMAGES)
    except (tf.errors.UnimplementedError, tf.errors.InvalidArgumentError):
        pytest.skip("this TensorFlow has no NCHW on CPUs")
    ours = run(rewritten(original), ["logits:0", "inner:0"], IMAGES)
    is_close(ours[0], logits)
    is_close(ours[1], to_last(inner))


def kinds(graph_def, op):
    return [node for node in graph_def.node if node.op == op]


@pytest.mark.parametrize(("network", "transposes"), [(vgg, 2), (resnet, 1), (inception, 2), (mobilenet, 3)])
def test_transposes_only_where_it_must(network, transposes):
    """The images; before a flatten; the gate that a fully connected layer made; inception's numbers per channel."""
    converted = rewritten(graph_def_of(network, "NCHW"))
    assert len(kinds(converted, "Transpose")) == transposes
    assert not [node.name for node in converted.node if node.attr["data_format"].s == b"NCHW"]


def test_a_graph_without_nchw_stays_itself():
    graph = Graph(graph_def_of(resnet, "NHWC"))
    assert channels_last(graph) is graph


@pytest.mark.parametrize("network", [vgg, inception])
def test_the_original_stays_as_it_was_and_may_come_in_any_order(network):
    original = graph_def_of(network, "NCHW")
    before = original.SerializeToString(deterministic=True)
    shuffled = tf.GraphDef(versions=original.versions)
    shuffled.node.extend(reversed(original.node))
    logits = run(rewritten(original), "logits:0", IMAGES)
    assert original.SerializeToString(deterministic=True) == before
    np.testing.assert_array_equal(run(rewritten(shuffled), "logits:0", IMAGES), logits)


def test_library_and_versions_are_kept():
    original = graph_def_of(vgg, "NCHW")
    original.library.function.add().signature.name = "unused"
    original.versions.min_consumer = 12
    converted = rewritten(original)
    assert converted.library == original.library
    assert converted.versions == original.versions


def test_constants_that_several_nodes_share():
    """One constant is the axes of a mean of NCHW, of one of NHWC beside it, and the addend of a sum."""

    def network(x):
        two = tf.constant([2, 3], name="two")
        y = tf.nn.relu(tf.nn.bias_add(x, tf.constant([1.0, 2.0, 3.0]), data_format="NCHW"))
        return tf.reduce_mean(y, two) + tf.reduce_mean(x, two) + tf.cast(two[0], tf.float32)

    converted = rewritten(small(network))
    expected = np.maximum(IMAGES + np.reshape([1, 2, 3], (3, 1, 1)), 0).mean((2, 3)) + IMAGES.mean((2, 3)) + 2
    np.testing.assert_allclose(run(converted, "y:0", IMAGES), expected, rtol=1e-5)


def small(network, shape=(None, 3, 24, 20)):
    with tf.Graph().as_default() as graph:
        tf.identity(network(tf.placeholder(tf.float32, shape, name="x")), name="y")
        return graph.as_graph_def()


def test_depth_and_space_by_hand():
    """Of a block's 2 x 2 pixels, the upper left comes first; within a pixel, the channels."""
    x = np.arange(2 * 3 * 4 * 6, dtype=np.float32).reshape(2, 3, 4, 6)
    original = small(lambda x: tf.nn.space_to_depth(x, 2, data_format="NCHW"), (None, 3, 4, 6))
    deep = run(rewritten(original), "y:0", x)
    assert deep.shape == (2, 2, 3, 12)
    for row, column, channel in np.ndindex(2, 2, 3):
        np.testing.assert_array_equal(deep[..., 6 * row + 3 * column + channel], x[:, channel, row::2, column::2])
    original = small(
        lambda x: tf.nn.depth_to_space(tf.nn.space_to_depth(x, 2, data_format="NCHW"), 2, data_format="NCHW"),
        (None, 3, 4, 6),
    )
    np.testing.assert_array_equal(run(rewritten(original), "y:0", x), to_last(x))


def test_max_pooling_with_sizes_as_tensors():
    sizes = {"ksize": [1, 1, 2, 3], "strides": [1, 1, 4, 5]}
    original = small(lambda x: tf.raw_ops.MaxPoolV2(input=x, padding="VALID", data_format="NCHW", **sizes))
    pooled = run(rewritten(original), "y:0", IMAGES)
    assert pooled.shape == (3, 6, 4, 3)
    np.testing.assert_array_equal(pooled[:, 1, 2], IMAGES[:, :, 4:6, 10:13].max((2, 3)))


def test_the_graphs_own_transposes_are_used():
    """A network in NCHW between Transposes of its own needs none any more."""

    def network(x):
        y = tf.transpose(x, (0, 3, 1, 2))
        y = tf.nn.relu(tf.nn.bias_add(y, tf.constant([1.0, 2.0, 3.0]), data_format="NCHW"))
        return tf.transpose(y, (0, 2, 3, 1))

    converted = rewritten(small(network, (None, 24, 20, 3)))
    assert not kinds(converted, "Transpose")
    images = to_last(IMAGES)
    np.testing.assert_array_equal(run(converted, "y:0", images), np.maximum(images + np.float32([1, 2, 3]), 0))


def test_convolutions_between_transposes():
    """As converters from PyTorch write them: what is between two convolutions becomes NHWC too."""
    rng = np.random.default_rng(2)
    kernels = [rng.normal(0, 0.2, (3, 3, depth, 4)).astype(np.float32) for depth in (3, 4)]

    def convolution(x, kernel, into=lambda x: x, back=lambda x: x):
        return back(tf.nn.conv2d(into(x), kernel, 1, "SAME"))

    def wrapped(x):
        ways = {"into": lambda x: tf.transpose(x, (0, 2, 3, 1)), "back": lambda x: tf.transpose(x, (0, 3, 1, 2))}
        x = tf.nn.relu(convolution(x, kernels[0], **ways), name="inner")
        return tf.reduce_mean(convolution(x, kernels[1], **ways), (2, 3), name="logits")

    def plain(x):
        x = tf.nn.relu(convolution(x, kernels[0]), name="inner")
        return tf.reduce_mean(convolution(x, kernels[1]), (1, 2), name="logits")

    converted = rewritten(small(wrapped))
    *ours, by_images = computed(converted, IMAGES)
    *expected, expected_by_images = computed(small(plain, (None, 24, 20, 3)), to_last(IMAGES))
    for array, theirs in zip((*ours, to_last(by_images)), (*expected, expected_by_images)):
        is_close(array, theirs)
    assert len(kinds(converted, "Transpose")) == 1


def test_one_transpose_before_the_network_is_no_nchw():
    graph_def = small(
        lambda x: tf.nn.conv2d(tf.transpose(x, (0, 2, 3, 1)), np.ones((1, 1, 3, 2), np.float32), 1, "SAME")
    )
    graph = Graph(graph_def)
    assert channels_last(graph) is graph


def test_a_condition_passes_either_layout_on():
    def network(x):
        y = tf.nn.bias_add(x, tf.constant([1.0, 2.0, 3.0]), data_format="NCHW")
        training = tf.placeholder_with_default(False, [], name="training")
        otherwise, when_training = tf.raw_ops.Switch(data=y, pred=training)
        return tf.raw_ops.Merge(inputs=[tf.abs(otherwise), when_training * 0.0])[0]

    expected = np.abs(IMAGES + np.reshape([1, 2, 3], (3, 1, 1)))
    np.testing.assert_allclose(run(rewritten(small(network)), "y:0", IMAGES), to_last(expected), rtol=1e-6)


def test_what_cannot_follow_reads_nchw():
    """Softmax over the width, an axis that is computed, a vector along the width."""

    def network(x):
        y = tf.nn.relu(tf.nn.bias_add(x, tf.constant([1.0, 2.0, 3.0]), data_format="NCHW"))
        axis = tf.cast(tf.size(x) * 0 + 2, tf.int32)
        y = tf.nn.softmax(y) + tf.concat([y[:, :, 12:], y[:, :, :12]], axis) * tf.range(20.0)
        return tf.squeeze(tf.reduce_sum(y, axis, keepdims=True), 2)

    y = np.maximum(IMAGES + np.reshape([1, 2, 3], (3, 1, 1)), 0)
    softmax = np.exp(y) / np.exp(y).sum(3, keepdims=True)
    expected = (softmax + np.roll(y, 12, 2) * np.arange(20)).sum(2)
    np.testing.assert_allclose(run(rewritten(small(network)), "y:0", IMAGES), expected, rtol=1e-5)


def test_ten_thousand_layers():
    def network(x):
        for _ in range(10000):
            x = tf.raw_ops.Identity(input=x)
        return tf.nn.bias_add(x, tf.constant([1.0, 2.0, 3.0]), data_format="NCHW")

    assert len(kinds(rewritten(small(network)), "Transpose")) == 1


def test_unknown_layouts_are_refused():
    volumes = small(lambda x: tf.nn.max_pool3d(x, 2, 2, "SAME", data_format="NCDHW", name="p"), (None, 3, 4, 6, 8))
    with pytest.raises(ValueError, match="'p' is a MaxPool3D in NCDHW with an input of rank 5, .*Conv2D, "):
        rewritten(volumes)
    biases = small(lambda x: tf.nn.bias_add(x, tf.zeros(3), data_format="NCHW", name="b"), (None, 3, 4, 6, 8))
    with pytest.raises(ValueError, match="'b' is a BiasAdd in NCHW with an input of rank 5"):
        rewritten(biases)

    def gradient(x):
        y = tf.raw_ops.MaxPool(input=x, ksize=[1, 1, 2, 2], strides=[1, 1, 2, 2], padding="SAME", data_format="NCHW")
        return tf.gradients(y, x)[0]

    with pytest.raises(ValueError, match="is a MaxPoolGrad in NCHW"):
        rewritten(small(gradient))


def test_a_circle_is_refused():
    graph_def = small(lambda x: tf.nn.bias_add(tf.abs(x, name="a"), tf.zeros(3), data_format="NCHW", name="b"))
    next(node for node in graph_def.node if node.name == "a").input[0] = "b"
    with pytest.raises(ValueError):
        rewritten(graph_def)
