"""What is done with pixels before somebody's graph: by its own arithmetic, by its first batch norm, or by the user."""

import numpy as np
import pytest
import tensorflow
import tensorflow.compat.v1 as tf
from foreign import classifier, constant, load, write_pb

from slim_models.builders.preprocessing import PREPROCESSINGS, affine
from slim_models.loading.batch_norms import divergence
from slim_models.loading.evidence import scale_of, too_close
from slim_models.loading.structure import Arithmetic, wanted
from slim_models.loading.trials import Trial, photographs
from slim_models.mistakes import BadValue, UnknownName

IMAGES = np.random.default_rng(0).uniform(0, 255, (2, 64, 64, 3)).astype(np.float32)
CAFFE = np.array([103.939, 116.779, 123.68], np.float32)  # of B, G, R


def graph_of(build, shape=(None, 64, 64, 3), dtype=tf.float32):
    graph = tf.Graph()
    with graph.as_default():
        classifier(build(tf.placeholder(dtype, shape, name="input")))
    return graph


def found_in(path, **options):
    """The network that `load` makes, and what it says of preprocessing."""
    lines = []
    network = load(path, **{"preprocessing": None, "say": lines.append, **options})
    return network, next((line for line in lines if line.startswith("preprocessing")), "")


def logits_of(network, images=IMAGES):
    with tf.Session(graph=network.graph) as session:
        network.values.fill(session, network)
        return session.run(network.logits, {network.images: images})


def fed_by_hand(graph, inputs):
    with tf.Session(graph=graph) as session:
        return session.run("logits:0", {"input:0": inputs})


def close(found, expected):
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4 * np.abs(expected).max())


def of_caffe(images):
    """RGB -> BGR less its mean, of pieces."""
    red, green, blue = tf.split(images, 3, axis=3)
    return tf.concat([blue - CAFFE[0], green - CAFFE[1], red - CAFFE[2]], axis=3)


# What a graph does to pixels -> what it wants before that, and how that is said.
INSIDE = {
    "a Rescaling to [0, 1]": (lambda x: x * (1 / 255), "none", "divides by 255"),
    "division by 255": (lambda x: x / 255, "none", "divides by 255"),
    "a Rescaling to [-1, 1]": (lambda x: x / 127.5 - 1, "none", "subtracts 127.5 and divides by 127.5"),
    "128": (lambda x: (x - 128) / 128, "none", "subtracts 128 and divides by 128"),
    "Inception's 117": (lambda x: x - 117, "none", "subtracts 117"),
    "a Rescaling that only adds": (lambda x: x * 1.0 + 255, "none", "adds 255"),
    "the mean of ImageNet": (lambda x: x - CAFFE[::-1], "none", "subtracts (123.7, 116.8, 103.9)"),
    "the mean of ImageNet, reversed first": (lambda x: x[..., ::-1] - CAFFE, "none", "subtracts (123.7, 116.8, 103.9)"),
    "Caffe's split and concat": (of_caffe, "none", "subtracts (123.7, 116.8, 103.9)"),
    "Custom Vision": (
        lambda x: x * tf.rsqrt(tf.ones(3) * 0.99999 + 1e-5) + (-tf.constant([104.0, 117, 123])),
        "bgr",
        "subtracts (104, 117, 123), the means of B, G and R,",
    ),
    "mean and deviation of ImageNet": (
        lambda x: (x / 255 - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225],
        "none",
        "subtracts (123.7, 116.3, 103.5) and divides by (58.4, 57.12, 57.38)",
    ),
    "mean and deviation of data of one's own": (
        lambda x: (x - [90.0, 120, 80]) / [40.0, 50, 45],
        "none",
        "subtracts (90, 120, 80) and divides by (40, 50, 45)",
    ),
    "TF-Hub's 2 x - 1": (lambda x: 2 * x - 1, "zero_to_one", "subtracts 0.5 and multiplies by 2"),
    "255 x less a mean": (
        lambda x: of_caffe(x * 255),
        "zero_to_one",
        "subtracts (0.485, 0.458, 0.4076) and multiplies by 255",
    ),
    "torchvision's": (
        lambda x: (x - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225],
        "zero_to_one",
        "subtracts (0.485, 0.456, 0.406)",
    ),
    "from [-1, 1] to pixels": (lambda x: (x + 1) * 127.5, "minus_one_to_one", "adds 1 and multiplies by 127.5"),
    "resized and padded first": (
        lambda x: tf.pad(tf.image.resize_bilinear(x, [48, 48]) / 255, [[0, 0], [3, 3], [3, 3], [0, 0]]),
        "none",
        "divides by 255",
    ),
}


@pytest.mark.parametrize("inside", INSIDE)
def test_what_the_graph_says_itself(inside, tmp_path):
    build, name, text = INSIDE[inside]
    graph = graph_of(build)
    network, line = found_in(write_pb(tmp_path / "net.pb", graph.as_graph_def()))
    assert line.startswith(f"preprocessing: {name} (found: the graph {text}")
    by_hand = {
        "none": IMAGES,
        "bgr": IMAGES[..., ::-1],
        "zero_to_one": IMAGES / 255,
        "minus_one_to_one": IMAGES / 127.5 - 1,
    }
    close(logits_of(network), fed_by_hand(graph, by_hand[name]))


def test_channels_first(tmp_path):
    graph = graph_of(lambda x: tf.transpose(x / 255, [0, 2, 3, 1]), (None, 3, 64, 64))
    network, line = found_in(write_pb(tmp_path / "net.pb", graph.as_graph_def()))
    assert line == "preprocessing: none (found: the graph divides by 255 itself)"
    close(logits_of(network), fed_by_hand(graph, IMAGES.transpose(0, 3, 1, 2)))


def test_a_dense_layer_first(tmp_path):
    graph = tf.Graph()
    with graph.as_default():
        images = tf.placeholder(tf.float32, [None, 8, 8, 3], name="input")
        hidden = tf.nn.relu(tf.matmul(tf.reshape(images / 255, [-1, 192]), constant([192, 8 * 8 * 2], 1)))
        pooled = tf.reduce_mean(tf.nn.relu(tf.reshape(hidden, [-1, 8, 8, 2]), name="last"), [1, 2])
        tf.matmul(pooled, constant([2, 5], 2), name="logits")
    network, line = found_in(write_pb(tmp_path / "net.pb", graph.as_graph_def()))
    assert line == "preprocessing: none (found: the graph divides by 255 itself)"
    close(logits_of(network, IMAGES[:, :8, :8]), fed_by_hand(graph, IMAGES[:, :8, :8]))


def test_integers_and_a_mean_of_bgr(tmp_path):
    graph = graph_of(lambda x: tf.cast(x, tf.float32) - CAFFE, dtype=tf.uint8)
    network, line = found_in(write_pb(tmp_path / "net.pb", graph.as_graph_def()))
    assert line.startswith("preprocessing: bgr (found")
    whole = IMAGES.round()
    close(logits_of(network, whole), fed_by_hand(graph, whole[..., ::-1].astype(np.uint8)))


def test_a_live_session_says_it_too():
    graph = graph_of(lambda x: x / 127.5 - 1)
    with tf.Session(graph=graph) as session:
        before = len(graph.get_operations())
        network, line = found_in(session)
        assert line == "preprocessing: none (found: the graph subtracts 127.5 and divides by 127.5 itself)"
        assert not [op.name for op in graph.get_operations()[before:] if not op.name.startswith("explained")]
        close(session.run(network.logits, {network.images: IMAGES}), session.run("logits:0", {"input:0": IMAGES}))


def keras_layers():
    layers = tensorflow.keras.layers
    mean, variance = [123.0, 117.0, 104.0], [3400.0, 3200.0, 3300.0]
    return {
        "Rescaling": (layers.Rescaling(1 / 127.5, offset=-1), "subtracts 127.5"),
        "Normalization": (layers.Normalization(mean=mean, variance=variance), "subtracts (123, 117, 104)"),
    }


@pytest.mark.parametrize("name", ["Rescaling", "Normalization"])
def test_layers_of_keras(name):
    layers = tensorflow.keras.layers
    first, text = keras_layers()[name]
    model = tensorflow.keras.Sequential([
        layers.Input((64, 64, 3)),
        first,
        layers.Conv2D(4, 3, activation="relu"),
        layers.GlobalAveragePooling2D(),
        layers.Dense(5),
    ])  # fmt: skip
    network, line = found_in(model)
    assert line.startswith(f"preprocessing: none (found: the graph {text}")
    close(logits_of(network), model(IMAGES).numpy())


NOT_SAID = {
    "nothing": lambda x: x,
    "reversed only": lambda x: x[..., ::-1],
    "times 1": lambda x: x * 1.0,
    "a frozen batch norm of [-1, 1]": lambda x: x * [1.9, 1.7, 1.8] + [0.1, 0.2, 0.4],
    "a frozen batch norm of [0, 1]": lambda x: (
        (x - [0.41, 0.52, 0.33]) * [3.9, 4.1, 4.4] * [1.1, 0.8, 0.7] + [0.2, -0.4, 0.1]
    ),
    "a mixture of colours": lambda x: tf.stack([x[..., 0] + x[..., 1], x[..., 1], x[..., 2]], 3) / 255,
    "a clipping": lambda x: tf.clip_by_value(x, 0, 1) / 255,
    "a sign": lambda x: -x / 255,
}


@pytest.mark.parametrize("inside", NOT_SAID)
def test_what_is_not_said(inside, tmp_path):
    path = write_pb(tmp_path / "net.pb", graph_of(NOT_SAID[inside]).as_graph_def())
    with pytest.raises(BadValue, match="cannot be told"):
        load(path, preprocessing=None)


def test_variables_are_no_constants():
    graph = graph_of(lambda x: x / tf.get_variable("scale", initializer=255.0))
    with tf.Session(graph=graph) as session, pytest.raises(BadValue, match="nothing is tried in a live session"):
        load(session, preprocessing=None)


def test_numbers_of_no_kind():
    assert wanted(Arithmetic(np.zeros(3), np.ones(3))) is None
    assert wanted(Arithmetic(np.array([30.0, 20, 10]), np.array([3.0, 4, 5]))) is None
    assert wanted(Arithmetic(np.zeros(1), np.full(1, 255.0))) == "none"  # grey


# x, mean, variance, gamma, beta -> a batch norm, as programs write it.
SPELLINGS = {
    "fused": lambda x, *p: tf.nn.fused_batch_norm(x, p[2], p[3], p[0], p[1], 1e-3, is_training=False)[0],
    "TensorFlow 1": lambda x, m, v, g, b: tf.nn.batch_normalization(x, m, v, b, g, 1e-3),
    "without gamma": lambda x, m, v, g, b: tf.nn.batch_normalization(x, m, v, b, None, 1e-3),
    "without beta": lambda x, m, v, g, b: tf.nn.batch_normalization(x, m, v, None, g, 1e-3),
    "Keras 3": lambda x, *p: tf.nn.batch_normalization(
        x, *(tf.reshape(p[i], [1, 1, 1, -1]) for i in (0, 1, 3, 2)), tf.constant([1e-3])
    ),
    "centred": lambda x, m, v, g, b: (x - m) * (tf.rsqrt(v + 1e-3) * g) + b,
    "step by step": lambda x, m, v, g, b: g * ((x - m) * tf.rsqrt(v + 1e-3)) + b,
    "divided": lambda x, m, v, g, b: (x - m) / tf.sqrt(v + 1e-3) * g + b,
    "Keras' Normalization": lambda x, m, v, g, b: (x - m) / tf.maximum(tf.sqrt(v), 1e-7),
    "one over the root": lambda x, m, v, g, b: x * (g / tf.sqrt(v + 1e-3)) + (b - m * (g / tf.sqrt(v + 1e-3))),
}


def normalised(spelling, name):
    """A graph whose batch norm has the statistics of our photographs under a preprocessing."""
    pictures = np.stack(photographs(())[0])
    graph = tf.Graph()
    with graph.as_default():
        images = tf.placeholder(tf.float32, [None, 64, 64, 3], name="input")
        net = tf.nn.conv2d(images, constant([3, 3, 3, 8]), 2, "SAME")
        small = PREPROCESSINGS[name](tf.image.resize_area(pictures, [64, 64]))
        with tf.Session() as session:
            seen = session.run(net, {images: session.run(small)})
        parameters = [tf.constant(array, tf.float32) for array in (seen.mean((0, 1, 2)), seen.var((0, 1, 2)))]
        parameters += [constant([8], 1) + 1, constant([8], 2)]
        classifier(
            tf.nn.conv2d(tf.nn.relu(SPELLINGS[spelling](net, *parameters)), constant([1, 1, 8, 3], 5), 1, "SAME")
        )
    return graph


@pytest.mark.parametrize("name", ["minus_one_to_one", "caffe_bgr"])
@pytest.mark.parametrize("spelling", SPELLINGS)
def test_batch_norms_however_written(spelling, name, tmp_path):
    graph = normalised(spelling, name)
    path = write_pb(tmp_path / "net.pb", graph.as_graph_def())
    network, line = found_in(path)
    assert line.startswith(f"preprocessing: {name} (guessed by photographs: ")
    assert float(line.split(": ")[2].split(" nats")[0]) < 0.03
    inputs = IMAGES / 127.5 - 1 if name == "minus_one_to_one" else IMAGES[..., ::-1] - CAFFE
    close(logits_of(network), fed_by_hand(graph, inputs))


def test_a_batch_norm_of_keras():
    layers = tensorflow.keras.layers
    inputs = layers.Input((64, 64, 3))
    convolution, norm = layers.Conv2D(8, 3, strides=2), layers.BatchNormalization()
    outputs = layers.Dense(5)(layers.GlobalAveragePooling2D()(layers.ReLU()(norm(convolution(inputs)))))
    model = tensorflow.keras.Model(inputs, outputs)
    small = tensorflow.image.resize(np.stack(photographs(())[0]), [64, 64], "area") / 255
    seen = convolution(small).numpy()
    norm.set_weights([*norm.get_weights()[:2], seen.mean((0, 1, 2)), seen.var((0, 1, 2))])
    network, line = found_in(model)
    assert line.startswith("preprocessing: zero_to_one (guessed by photographs: ")
    close(logits_of(network), model(IMAGES / 255).numpy())


def test_a_batch_norm_folded_into_constants(tmp_path):
    graph = graph_of(lambda x: tf.nn.conv2d(x, constant([3, 3, 3, 3]), 1, "SAME") * constant([3], 1) + constant([3], 2))
    with pytest.raises(BadValue, match="only its scale is certain, by the size of its logits: pixels in") as error:
        load(write_pb(tmp_path / "net.pb", graph.as_graph_def()), preprocessing=None)
    text = str(error.value)
    for name in ("none", "zero_to_one", "minus_one_to_one", "subtract_mean", "caffe_bgr", "standardized"):
        assert f"with {name} " in text
    assert "a portrait in uniform, a cup of coffee and a cat" in text and "--preprocessing" in text and "\n" not in text
    inputs = np.stack(photographs(())[0])
    with tf.Graph().as_default(), tf.Session() as session:
        inputs = session.run(tf.image.resize_area(inputs, [64, 64]))
    logits = fed_by_hand(graph, inputs / 255).astype(np.float64)
    rows = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    shown = ", ".join(f"{row.argmax()} ({row.max():.0%})" for row in rows)
    assert f"with zero_to_one {shown};" in text


@pytest.mark.parametrize(
    ("best", "other", "close_"),
    [
        ((None, 0.07), (None, 0.18), True),  # a network of grey faces, where the other is right
        ((None, 0.17), (None, 0.38), True),
        ((None, 0.06), (None, 0.58), False),
        ((None, 0.029), (None, 0.071), False),
        ((None, 0.029), (None, 0.031), True),
        ((0.58, None), (0.4, None), True),  # a MobileNet of which the other is right
        ((0.42, None), (0.29, None), True),
        ((0.9, None), (0.6, None), False),
        ((0.4, 0.06), (0.58, 0.58), False),
        ((0.9, 0.3), (0.3, 0.31), False),
    ],
)
def test_what_is_too_close_to_call(best, other, close_):
    trials = {"minus_one_to_one": Trial(*best), "zero_to_one": Trial(*other)}
    assert too_close("minus_one_to_one", "zero_to_one", trials) == close_


def test_divergence_takes_any_order_of_channels():
    seen = np.random.default_rng(0).normal(1, 2, (2, 5, 6, 4))
    mean, variance = seen.mean((0, 1, 2)), seen.var((0, 1, 2))
    assert divergence(seen, mean.reshape(1, 1, 1, 4), variance) == pytest.approx(0, abs=1e-9)
    assert divergence(seen.transpose(0, 3, 1, 2), mean, variance) == pytest.approx(0, abs=1e-9)


GIVEN = {
    "mean=123.68/116.779/103.939,order=BGR": lambda x: x[..., ::-1] - CAFFE,
    " order = bgr , mean=123.68/116.779/103.939": lambda x: x[..., ::-1] - CAFFE,
    "mean=0.485/0.456/0.406,std=0.229/0.224/0.225,scale=255": lambda x: (
        (x / 255 - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225]
    ),
    "mean=127.5,std=127.5": lambda x: x / 127.5 - 1,
    "scale=255": lambda x: x / 255,
    "order=BGR": lambda x: x[..., ::-1],
    "mean=-1e2": lambda x: x + 100,
}


@pytest.mark.parametrize("text", GIVEN)
def test_numbers_that_are_given(text, tmp_path):
    graph = graph_of(lambda x: x)
    network = load(write_pb(tmp_path / "net.pb", graph.as_graph_def()), preprocessing=text)
    close(logits_of(network), fed_by_hand(graph, GIVEN[text](IMAGES)))
    assert network.input_order == ("BGR" if "bgr" in text.lower() else "RGB")


def test_a_function_that_is_given(tmp_path):
    graph = graph_of(lambda x: x)
    path = write_pb(tmp_path / "net.pb", graph.as_graph_def())
    close(logits_of(load(path, preprocessing=lambda x: tf.sqrt(x) / 4)), fed_by_hand(graph, np.sqrt(IMAGES) / 4))
    with pytest.raises(BadValue, match=r"must return a tensor \(.*, 64, 64, 3\), as it takes, not "):
        load(path, preprocessing=lambda x: x[..., 0])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("mean=1/2/x", "mean is one number, or three of R/G/B, or one of each channel, not '1/2/x'"),
        ("mean=", "mean is one number, or three of R/G/B, or one of each channel, not ''"),
        ("std=0", "std is one number, or three of R/G/B, or one of each channel above 0, not '0'"),
        ("mean=1/2,std=1/2/3", "mean, std and order are of other numbers of channels: mean of 2, std of 3"),
        ("mean=1/2,order=BGR", "mean, std and order are of other numbers of channels: mean of 2, order of 3"),
        ("std=nan", "std is one number"),
        ("scale=1/2/3", "scale is one number above 0, not '1/2/3'"),
        ("order=GBR", "order is RGB or BGR, not 'GBR'"),
        ("mean=1,mean=2", "'mean=2' is not one of mean=, std=, scale=, order=, each at most once"),
        ("mean=1,2,3", "'2' is not one of"),
        ("means=1", "'means=1' is not one of"),
    ],
)
def test_numbers_that_cannot_be_read(text, message):
    with pytest.raises(BadValue) as error:
        affine(text)
    assert str(error.value).startswith(f"preprocessing {text!r} cannot be read: {message}")
    assert str(error.value).endswith("; for example mean=123.68/116.779/103.939,order=BGR")


def test_what_is_no_preprocessing():
    """Before anything is opened: there is nothing at the path."""
    with pytest.raises(UnknownName, match="no preprocessing 'vgg'; there are none, .*, or numbers such as mean="):
        load("nothing.pb", preprocessing="vgg")
    with pytest.raises(BadValue, match="preprocessing is a name, numbers such as mean=.*, or a function, not 255"):
        load("nothing.pb", preprocessing=255)


@pytest.mark.parametrize(
    ("factor", "scale", "first"), [(1.0, "about [-1, 1]", "minus_one_to_one"), (255.0, "pixels in [0, 255]", "none")]
)
def test_the_size_of_the_logits_tells_the_scale(factor, scale, first, tmp_path):
    """What a network without batch norm makes of pixels that are 255 times too large or too small."""

    def network(images):
        net = tf.nn.relu(tf.nn.conv2d(images / factor, constant([3, 3, 3, 16], scale=1.0), 2, "SAME"))
        net = tf.nn.avg_pool2d(tf.nn.relu(tf.nn.conv2d(net, constant([3, 3, 16, 16], 1), 2, "SAME")), 1, 1, "SAME")
        tf.nn.softmax(tf.matmul(tf.reduce_mean(net, [1, 2]), constant([16, 7], 2)), name="probabilities")

    graph = tf.Graph()
    with graph.as_default():
        # An average pooling in front, so that the division is not taken for the graph's own arithmetic.
        network(tf.nn.avg_pool2d(tf.placeholder(tf.float32, [None, 64, 64, 3], name="input"), 1, 1, "SAME"))
    with pytest.raises(BadValue) as error:
        load(write_pb(tmp_path / "net.pb", graph.as_graph_def()), preprocessing=None)
    text = str(error.value)
    assert f"as only its scale is certain, by the size of its logits: {scale};" in text
    assert f"give preprocessing, one of {first}," in text


@pytest.mark.parametrize(
    ("large", "small", "expected"),
    [
        (970.0, 3.9, "about [-1, 1]"),
        (15.6, 0.05, "pixels in [0, 255]"),
        (3.2, 0.02, "pixels in [0, 255]"),
        (67.0, 45.0, None),  # a batch norm takes the scale out
        (100.0, 5.0, None),
        (1000.0, 200.0, None),
        (None, None, None),
    ],
)
def test_which_scale_logits_speak_for(large, small, expected):
    spreads = {"none": large, "subtract_mean": large, "caffe_bgr": large}
    spreads |= dict.fromkeys(("minus_one_to_one", "zero_to_one", "standardized"), small)
    assert scale_of({name: Trial(None, None, spread=spread) for name, spread in spreads.items()}) == expected
