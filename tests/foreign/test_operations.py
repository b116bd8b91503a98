"""Operations that stand in the way of gradients, or of opening a file: each is explained as what it is made of."""

import sys

import numpy as np
import pytest
import tensorflow as tf2
import tensorflow.compat.v1 as tf
from exact import agrees, by_graph, by_tape
from foreign import constant, load, write_pb
from old_keras import functional, old, start, write_old

LAYERS = tf2.keras.layers


def head(activations):
    return tf.matmul(tf.reduce_mean(activations, [1, 2]), constant([activations.shape[-1], 7], 4), name="logits")


def placeholder():
    return tf.placeholder(tf.float32, [None, 32, 32, 3], name="x")


def frozen(build, path):
    """A frozen graph of `build(images) -> activations` under a head."""
    with tf.Graph().as_default() as graph:
        head(build(placeholder()))
        return write_pb(path / "net.pb", graph.as_graph_def())


def expected_of(build):
    with tf.Graph().as_default():
        images = placeholder()
        activations = build(images)
        return by_graph(head(activations), activations, images)


def in_groups(net, kernel, groups, strides=1):
    """A grouped convolution as the sum of what it is made of, which has a gradient everywhere."""
    pairs = zip(tf.split(net, groups, 3), tf.split(kernel, groups, 3))
    return tf.concat([tf.nn.conv2d(images, part, strides, "SAME") for images, part in pairs], 3)


def res_next(convolve, groups, channels_first=False):
    """A block of ResNeXt (Xie et al. 2017, fig. 3c) behind a stem; `convolve(net, kernel, groups)`."""

    def build(images):
        stem = tf.nn.relu(tf.nn.conv2d(images / 255, constant([3, 3, 3, 8]), 4, "SAME"))
        net = tf.nn.relu(tf.nn.conv2d(stem, constant([1, 1, 8, 8], 1), 1, "SAME"))
        net = tf.nn.bias_add(convolve(net, constant([3, 3, 8 // groups, 8], 2), groups), constant([8], 7))
        net = tf.nn.conv2d(tf.nn.relu(net), constant([1, 1, 8, 8], 3), 1, "SAME")
        return tf.nn.relu(stem + net, name="last")

    return build


def first(net, kernel, groups):
    """In NCHW."""
    net = tf.nn.conv2d(tf.transpose(net, [0, 3, 1, 2]), kernel, 1, "SAME", data_format="NCHW")
    return tf.transpose(net, [0, 2, 3, 1])


@pytest.mark.parametrize("layout", ["NHWC", "NCHW"])
@pytest.mark.parametrize("groups", [2, 8])
def test_grouped_convolutions(groups, layout, tmp_path):
    given = first if layout == "NCHW" else (lambda net, kernel, _: tf.nn.conv2d(net, kernel, 1, "SAME"))
    network = load(frozen(res_next(given, groups), tmp_path))
    assert not any("Split" in name or "conv2d" in name.lower() for name in network.endpoints)
    assert network.default_layer == "last"
    agrees(network, expected_of(res_next(in_groups, groups)))


def test_grouped_convolutions_of_variables(tmp_path):
    def build(images, convolve):
        kernel = tf.get_variable("kernel", initializer=constant([3, 3, 4, 8], 2))
        stem = tf.nn.relu(tf.nn.conv2d(images / 255, constant([3, 3, 3, 8]), 4, "SAME"))
        return tf.nn.relu(convolve(stem, kernel, 2))

    with tf.Graph().as_default(), tf.Session() as session:
        head(build(placeholder(), lambda net, kernel, _: tf.nn.conv2d(net, kernel, 1, "SAME")))
        session.run(tf.global_variables_initializer())
        agrees(load(session), expected_of(lambda images: build(images, in_groups)))


@pytest.mark.parametrize("depthwise", [False, True])
def test_dilation_without_activations(depthwise, tmp_path):
    """The layer is what comes out of the convolution, its pixels where they were, bias and all."""

    def build(images, spread=False):
        net = tf.nn.conv2d(images / 255, constant([3, 3, 3, 8]), 4, "SAME")
        kernel = constant([3, 3, 8, 1 if depthwise else 6], 2)
        wide = tf.nn.depthwise_conv2d_native if depthwise else tf.nn.conv2d
        more = {} if spread else {"dilations": [1, 2, 2, 1]}
        if spread:  # zeros between the taps
            zeros = np.zeros([5, 5, *kernel.shape[2:]], np.float32)
            zeros[::2, ::2] = tf.get_static_value(kernel)
            kernel = zeros
        net = wide(net, kernel, [1, 1, 1, 1], "SAME", **more)
        return tf.nn.bias_add(net, constant([net.shape[-1]], 3), name="last")

    network = load(frozen(build, tmp_path))
    assert network.default_layer == "last"
    agrees(network, expected_of(lambda images: build(images, spread=True)))


def attention(tokens, bias=0.0):
    """One head of `[..., n, d]`."""
    query, key, value = (tokens @ constant([tokens.shape[-1]] * 2, seed) for seed in (11, 12, 13))
    return tf.nn.softmax(tf.matmul(query, key, transpose_b=True) / 3 + bias) @ value


def mobile_vit(images):
    """Attention between the same pixels of all patches (Mehta & Rastegari 2022, fig. 1b), folded back."""
    net = tf.nn.swish(tf.nn.conv2d(images / 255, constant([3, 3, 3, 8]), 4, "SAME"))
    patches = tf.reshape(net, [-1, 4, 2, 4, 2, 8])
    tokens = tf.reshape(tf.transpose(patches, [0, 2, 4, 1, 3, 5]), [-1, 2, 2, 16, 8])
    tokens = tf.reshape(tokens + attention(tokens), [-1, 2, 2, 4, 4, 8])
    folded = tf.reshape(tf.transpose(tokens, [0, 3, 1, 4, 2, 5]), [-1, 8, 8, 8])
    net = tf.concat([net, folded], 3)
    return tf.nn.relu(tf.nn.conv2d(net, constant([3, 3, 16, 8], 1), 1, "SAME"), name="last")


def coat_net(images):
    """Attention with a bias for every distance (Dai et al. 2021, eq. 3) behind a convolution."""
    net = tf.nn.relu(tf.nn.conv2d(images / 255, constant([3, 3, 3, 8]), 8, "SAME"))
    places = np.stack(np.meshgrid(np.arange(4), np.arange(4), indexing="ij"), -1).reshape(-1, 2)
    apart = (places[:, None] - places[None] + 3) @ [7, 1]
    tokens = tf.reshape(net, [-1, 16, 8])
    tokens = tokens + attention(tokens, tf.gather(constant([49], 5), apart))
    return tf.nn.relu(tf.reshape(tokens, [-1, 4, 4, 8]), name="last")


def res_ne_st(images):
    """Split attention: a softmax over the splits weighs them (Zhang et al. 2020, eq. 2)."""
    net = tf.nn.relu(tf.nn.conv2d(images / 255, constant([3, 3, 3, 8]), 4, "SAME"))
    splits = tf.nn.relu(tf.nn.conv2d(net, constant([3, 3, 4, 16], 1), 1, "SAME"))
    splits = tf.reshape(splits, [-1, 8, 8, 2, 8])
    pooled = tf.reduce_mean(tf.reduce_sum(splits, 3), [1, 2])
    weights = tf.nn.softmax(tf.reshape(pooled @ constant([8, 16], 2), [-1, 1, 1, 2, 8]), axis=3)
    return tf.nn.relu(net + tf.reduce_sum(splits * weights, 3), name="last")


@pytest.mark.parametrize("build", [mobile_vit, coat_net, res_ne_st])
def test_attention_between_convolutions(build, tmp_path):
    network = load(frozen(build, tmp_path))
    assert network.default_layer == "last"
    agrees(network, expected_of(build))


def of_applications(name, network):
    """A class of layers that Keras keeps beside one of its networks."""
    return getattr(sys.modules[getattr(tf2.keras.applications, network).__module__], name)


@pytest.mark.parametrize("suffix", [".h5", ".keras"])
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning")
def test_layers_that_only_networks_of_keras_have(suffix, tmp_path):
    """Written by the installed Keras, with sums that are operations and no layers, and read without custom_objects."""
    tf2.keras.utils.set_random_seed(0)
    images = LAYERS.Input((32, 32, 3))
    net = LAYERS.Conv2D(8, 3, strides=4, activation="relu")(images)
    wide = LAYERS.Conv2D(8, 3, padding="same", groups=8)(net)
    scaled = of_applications("LayerScale", "ConvNeXtTiny")(0.5, 8, name="scaled")(wide)
    kept = of_applications("StochasticDepth", "ConvNeXtTiny")(0.2, name="kept")(scaled)
    net = of_applications("CustomScaleLayer", "InceptionResNetV2")(0.3)([net + kept, net * 2.0 + 1.0])
    net = LAYERS.ReLU(name="last")(net)
    model = tf2.keras.Model(images, LAYERS.Dense(5)(LAYERS.GlobalAveragePooling2D()(net)))
    model.get_layer("scaled").set_weights([np.linspace(-1, 1, 8)])
    path = tmp_path / f"model{suffix}"
    model.save(path)
    agrees(load(path), by_tape(model, "last"))


@pytest.mark.skipif(not hasattr(tf2.keras, "ops"), reason="Keras 2 has a reader of its own, which wants other lists")
@pytest.mark.parametrize("registered", [False, True])
def test_layers_of_networks_as_keras_2_wrote_them(registered, tmp_path):
    random = np.random.default_rng(0)
    kernel, bias = random.normal(0, 0.3, [3, 3, 3, 8]), random.normal(0, 0.3, 8)
    gamma, dense, last = random.normal(0, 1, 8), random.normal(0, 0.3, [6, 5]), random.normal(0, 1, 5)
    added = {"y": ["kept", 0, 0], "name": None}
    some = {"slice_spec": [{"class_name": "__ellipsis__"}, {"start": None, "stop": 6, "step": None}]}
    function = {"function": "__operators__.add"}
    layers = [
        start(),
        old("Conv2D", "first", [["images"]], filters=8, kernel_size=[3, 3], strides=[2, 2], activation="relu"),
        old("LayerScale", "scaled", [["first"]], init_values=1e-6, projection_dim=8),
        old("StochasticDepth", "kept", [["scaled"]], drop_path_rate=0.1),
        old("TFOpLambda", "tf.__operators__.add", [[("first", 0, added)]], **function),
        old(
            "Custom>CustomScaleLayer" if registered else "CustomScaleLayer",
            "custom",
            [["tf.__operators__.add", "first"]],
            scale=0.5,
        ),
        old("SlicingOpLambda", "sliced", [[("custom", 0, some)]], function="__operators__.getitem"),
        old("Activation", "last", [["sliced"]], activation="relu"),
        old("GlobalAveragePooling2D", "pooled", [["last"]]),
        old("Dense", "head", [["pooled"]], units=5, activation="linear"),
    ]
    weights = {
        "first": {"first/kernel:0": kernel, "first/bias:0": bias},
        "scaled": {"scaled/gamma:0": gamma},
        "head": {"head/kernel:0": dense, "head/bias:0": last},
    }
    network = load(write_old(tmp_path / "model.h5", functional("net", layers, "head"), weights, b"2.13.1"))
    with tf.Graph().as_default():
        images = placeholder()
        kernel, bias, gamma, dense, last = (tf.constant(a, tf.float32) for a in (kernel, bias, gamma, dense, last))
        net = tf.nn.relu(tf.nn.conv2d(images, kernel, 2, "VALID") + bias)
        activations = tf.nn.relu((net + net * gamma + 0.5 * net)[..., :6])
        logits = tf.reduce_mean(activations, [1, 2]) @ dense + last
        agrees(network, by_graph(logits, activations, images))


def test_a_dequantized_kernel(tmp_path):
    """MIN_COMBINED of unsigned bytes q is min + q * (max - min) / 255."""
    bytes_ = np.random.default_rng(3).integers(0, 255, [3, 3, 3, 8])

    def build(images, kernel):
        return tf.nn.relu(tf.nn.conv2d(images, kernel, 4, "SAME"), name="last")

    def quantized(images):
        kernel = tf.constant(bytes_.astype(tf.quint8.as_numpy_dtype), tf.quint8)
        return build(images, tf.raw_ops.Dequantize(input=kernel, min_range=-0.5, max_range=0.5))

    kernel = (bytes_ / 255 - 0.5).astype(np.float32)
    agrees(load(frozen(quantized, tmp_path)), expected_of(lambda images: build(images, kernel)))
