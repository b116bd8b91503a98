"""Networks of one channel take photographs; the oracles are the graphs themselves, fed grey pictures made in NumPy."""

import keras
import numpy as np
import pytest
import tensorflow.compat.v1 as tf
from foreign import constant, load, write_pb

import slim_models
from gradcam.cli import main
from gradcam.explainer import Explainer

LUMA = np.array([0.299, 0.587, 0.114])
PHOTOGRAPHS = np.random.default_rng(0).uniform(0, 255, (3, 28, 20, 3)).astype(np.float32)
SHAPES = {"NHWC": [None, 28, 20, 1], "NCHW": [None, 1, 28, 20], "NHW": [None, 28, 20]}
SCALES = {"none": (1, 0), "zero_to_one": (255, 0), "minus_one_to_one": (127.5, 1)}


def member(images, order, depth=8):
    """Two convolutions in the images' order, of constants."""
    net = images[..., None] if order == "NHW" else images
    layout, axes = ("NCHW", [2, 3]) if order == "NCHW" else ("NHWC", [1, 2])
    strides = [1, 1, 2, 2] if order == "NCHW" else [1, 2, 2, 1]
    net = tf.nn.conv2d(net, constant([3, 3, 1, depth]), strides, "SAME", data_format=layout)
    net = tf.nn.relu(tf.nn.bias_add(net, constant([depth], 1), data_format=layout))
    net = tf.nn.conv2d(net, constant([3, 3, depth, 12], 2), 1, "SAME", data_format=layout)
    net = tf.nn.relu(tf.nn.bias_add(net, constant([12], 3), data_format=layout), name="last")
    return tf.matmul(tf.reduce_mean(net, axes), constant([12, 7], 4), name="logits")


def file_of(folder, order="NHWC", shape=None, dtype=tf.float32, depth=8):
    with tf.Graph().as_default() as graph:
        images = tf.placeholder(dtype, SHAPES[order] if shape is None else shape, name="input")
        tf.nn.softmax(member(tf.cast(images, tf.float32), order, depth))
    return write_pb(folder / "net.pb", graph.as_graph_def())


def grey(order, preprocessing="none", photographs=PHOTOGRAPHS):
    """Photographs as the graph takes them, by NumPy."""
    scale, offset = SCALES[preprocessing]
    pictures = (photographs.astype(np.float64) @ LUMA / scale - offset).astype(np.float32)
    return {"NHWC": pictures[..., None], "NCHW": pictures[:, None], "NHW": pictures}[order]


def oracle(pictures, target=2, depth=8):
    """Logits, activations `[N, h, w, K]` and gradients of the member, and d logit / d picture `[N, H, W]`.

    In NHWC, which CPUs can run; that its numbers are the graph's own in NCHW is what the order means.
    """
    with tf.Graph().as_default() as graph, tf.Session() as session:
        images = tf.placeholder(tf.float32, [None, 28, 20], name="input")
        logits = member(images, "NHW", depth)
        last = graph.get_tensor_by_name("last:0")
        gradients = tf.gradients(logits[:, target], [last, images])
        return session.run([logits, last, *gradients], {images: pictures.reshape(-1, 28, 20)})


def explained(network, photographs=PHOTOGRAPHS, rules=("backprop",)):
    with Explainer(network, rules=rules) as explainer:
        return explainer.explain(photographs, 2)


def close(found, expected, tolerance=1e-4):
    np.testing.assert_allclose(found, expected, rtol=tolerance, atol=tolerance * np.abs(expected).max())


@pytest.mark.parametrize("preprocessing", SCALES)
@pytest.mark.parametrize("order", SHAPES)
def test_the_numbers_are_the_graphs_own(order, preprocessing, tmp_path):
    network = load(file_of(tmp_path, order), preprocessing=preprocessing)
    assert network.images.shape.as_list() == [None, 28, 20, 3]
    found = explained(network)
    logits, activations, gradients, saliency = oracle(grey(order, preprocessing))
    close(found.logits, logits)
    close(found.activations["last"], activations)
    close(found.gradients["last"], gradients)
    close(found.saliency["backprop"], saliency[..., None] * LUMA / SCALES[preprocessing][0])
    weights = gradients.mean((1, 2), keepdims=True)  # Grad-CAM by hand
    close(found.cam(), np.maximum((weights * activations).sum(-1), 0))


def test_the_oracle_is_the_member_in_its_own_order(tmp_path):
    """By a live session, for orders that a CPU runs."""
    for order in ("NHWC", "NHW"):
        with tf.Graph().as_default(), tf.Session() as session:
            images = tf.placeholder(tf.float32, SHAPES[order])
            logits = session.run(member(images, order), {images: grey(order)})
        close(oracle(grey(order))[0], logits)


def test_it_is_said(tmp_path):
    lines = []
    load(file_of(tmp_path, "NCHW"), say=lines.append)
    assert [line.split(":")[0] for line in lines] == ["images", "logits", "grey", "layer"]
    assert "input:0 float32 [?, 1, 28, 20] takes one channel, 0.299 R + 0.587 G + 0.114 B" in lines[2]


@pytest.mark.parametrize("name", ["subtract_mean", "caffe_bgr", "standardized"])
def test_preprocessings_of_three_numbers_are_refused(name, tmp_path):
    message = f"preprocessing '{name}' has three numbers a pixel, .* there are none, minus_one_to_one, zero_to_one$"
    with pytest.raises(ValueError, match=message):
        load(file_of(tmp_path), preprocessing=name)


def test_nothing_of_three_numbers_is_tried(tmp_path):
    with pytest.raises(ValueError, match="cannot be told.*one of none, minus_one_to_one, zero_to_one, or numbers"):
        load(file_of(tmp_path), preprocessing=None)
    with tf.Graph().as_default(), tf.Session() as session:
        member(tf.placeholder(tf.float32, SHAPES["NHWC"]), "NHWC")
        with pytest.raises(ValueError, match="cannot be told.*one of none, minus_one_to_one, zero_to_one, or numbers"):
            load(session, preprocessing=None)


def test_batch_norm_tells_the_preprocessing(tmp_path):
    """Of a first batch norm that is used to photographs in [-1, 1]."""
    with tf.Graph().as_default() as graph:
        images = tf.placeholder(tf.float32, [None, 64, 64, 1], name="input")
        net = tf.nn.conv2d(images, tf.ones([1, 1, 1, 4]), 1, "SAME")
        mean, variance = tf.constant(4 * [-0.1]), tf.constant(4 * [0.25])
        net, _, _ = tf.nn.fused_batch_norm(net, tf.ones(4), tf.zeros(4), mean, variance, is_training=False)
        tf.nn.softmax(tf.matmul(tf.reduce_mean(tf.nn.relu(net), [1, 2]), constant([4, 7])))
    lines = []
    load(write_pb(tmp_path / "net.pb", graph.as_graph_def()), preprocessing=None, say=lines.append)
    assert any(line.startswith("preprocessing: minus_one_to_one (guessed") for line in lines)


def test_guided_backprop_and_classes_of_one_picture(tmp_path):
    """The luma is linear: it stops no rule, and classes of one picture share their forward pass."""
    network = load(file_of(tmp_path))
    assert slim_models.refusal(network.logits, [network.images]) is None
    with Explainer(network, rules=["guided", "backprop"]) as explainer:
        assert explainer._fetches._read is not None
        several = explainer.explain_classes(PHOTOGRAPHS[0], [0, 2, 5])
        one = explainer.explain(PHOTOGRAPHS[:1], 2)
    guided = one.saliency["guided"]
    close(guided, guided.sum(-1, keepdims=True) * LUMA)
    for rule in ("guided", "backprop"):
        close(several.saliency[rule][1], one.saliency[rule][0])


def test_integers(tmp_path):
    network = load(file_of(tmp_path, "NHW", dtype=tf.uint8), preprocessing=None)
    close(explained(network).logits, oracle(grey("NHW"))[0])


@pytest.mark.parametrize("order", SHAPES)
def test_a_fixed_number_of_pictures(order, tmp_path):
    network = load(file_of(tmp_path, order, [2, *SHAPES[order][1:]]))
    close(explained(network).logits, oracle(grey(order))[0])


@pytest.mark.parametrize(
    "shape", [[None, None, None, 1], [None, 28, 20, None], [None, None, None, None], None, [None, None, 20, 1]]
)
@pytest.mark.parametrize("depth", [8, 12])
def test_what_the_shape_leaves_open(shape, depth, tmp_path):
    """12 channels could be three groups of a convolution of RGB; nobody means that."""
    with tf.Graph().as_default() as graph:
        member(tf.placeholder(tf.float32, shape, name="input"), "NHWC", depth)
    network = load(write_pb(tmp_path / "net.pb", graph.as_graph_def()), image_size=(28, 20))
    close(explained(network).logits, oracle(grey("NHWC"), depth=depth)[0])


def test_unknown_channels_are_three_first(tmp_path):
    with tf.Graph().as_default() as graph:
        images = tf.placeholder(tf.float32, [None, None, None, None], name="input")
        net = tf.nn.relu(tf.nn.conv2d(images, constant([3, 3, 3, 8]), 1, "SAME"))
        tf.nn.softmax(tf.matmul(tf.reduce_mean(net, [1, 2]), constant([8, 7], 4)))
    lines = []
    load(write_pb(tmp_path / "net.pb", graph.as_graph_def()), say=lines.append)
    assert not [line for line in lines if line.startswith("grey")]


def test_keep_prob_of_unknown_shape_is_no_picture(tmp_path):
    with tf.Graph().as_default() as graph:
        logits = member(tf.placeholder(tf.float32, SHAPES["NHW"], name="input"), "NHW")
        kept = logits * tf.placeholder(tf.float32, name="keep_prob")
        tf.nn.softmax(tf.raw_ops.MatMul(a=kept, b=constant([7, 7])))
    lines = []
    load(write_pb(tmp_path / "net.pb", graph.as_graph_def()), say=lines.append)
    assert lines[0].startswith("images: input:0 float32 [?, 28, 20]")


def test_encoded_grey_pictures(tmp_path):
    with tf.Graph().as_default() as graph:
        contents = tf.placeholder(tf.string, [], name="contents")
        picture = tf.cast(tf.image.decode_jpeg(contents, channels=1), tf.float32)
        member(tf.image.resize_bilinear(picture[None], [28, 20], name="resized"), "NHWC")
    network = load(write_pb(tmp_path / "net.pb", graph.as_graph_def()))
    close(explained(network).logits, oracle(grey("NHWC"))[0])


def test_no_pictures(tmp_path):
    """A video."""
    with tf.Graph().as_default() as graph:
        images = tf.placeholder(tf.float32, [None, 8, 28, 20, 1], name="input")
        net = tf.nn.relu(tf.nn.conv3d(images, constant([3, 3, 3, 1, 7]), [1, 1, 1, 1, 1], "SAME"))
        tf.nn.softmax(tf.reduce_mean(net, [1, 2, 3]))
    message = r"input:0 float32 \[\?, 8, 28, 20, 1\] takes no pictures: neither \[N, H, W, C\] nor \[N, C, H, W\]"
    with pytest.raises(ValueError, match=message):
        load(write_pb(tmp_path / "net.pb", graph.as_graph_def()), images="input")


@pytest.mark.parametrize("axis", [True, False])
def test_keras(axis):
    keras.utils.set_random_seed(0)
    images = keras.layers.Input((28, 20, 1) if axis else (28, 20))
    net = images if axis else keras.layers.Reshape((28, 20, 1))(images)
    net = keras.layers.Conv2D(8, 3, activation="relu")(net)
    outputs = keras.layers.Dense(5, activation="softmax")(keras.layers.GlobalAveragePooling2D()(net))
    model = keras.Model(images, outputs)
    expected = model.predict(grey("NHWC" if axis else "NHW", "zero_to_one"), verbose=0)
    close(explained(load(model, preprocessing="zero_to_one")).probabilities, expected)


def test_the_command_line(tmp_path, capsys):
    flags = ["--network", str(file_of(tmp_path)), "--preprocessing", "zero_to_one", "--out", str(tmp_path)]
    assert main(["explain", "sample:coffee", *flags]) == 0
    assert "grey: input:0" in capsys.readouterr().err
    (path,) = tmp_path.glob("coffee.*.npz")
    with np.load(path) as arrays:
        assert arrays["guided"].shape == (28, 20, 3)
    assert len(list(tmp_path.glob("coffee.*.png"))) == 2
