"""Networks of K channels, and pictures that are prepared already; the oracles are the unmarked graphs and models."""

import keras
import numpy as np
import pytest
import tensorflow
import tensorflow.compat.v1 as tf
from foreign import constant, write_pb

import slim_models
from gradcam.adversarial import perturb
from gradcam.cli import main
from gradcam.evaluation import BoxProtocol, Localization, run
from gradcam.evaluation.datasets import read_examples
from gradcam.explainer import Explainer
from gradcam.methods import methods_named
from slim_models.mistakes import BadValue

RANDOM = np.random.default_rng(0)
SIZE = (28, 20)
# How a graph in NCHW convolves where only NHWC can be run: as converters from PyTorch write it.
TO_LAST, TO_FIRST = (0, 2, 3, 1), (0, 3, 1, 2)


def arrays(channels, number=3, size=SIZE):
    """Of no range that photographs have."""
    return RANDOM.normal(-300, 1000, (number, *size, channels)).astype(np.float32)


def member(images, channels, order="NHWC", scale=1000.0):
    """Two convolutions and a dense layer, of constants; `[N, h, w, K]` activations and `[N, C]` logits."""
    net = tf.transpose(images, TO_LAST) if order == "NCHW" else images
    net = tf.nn.relu(tf.nn.conv2d(net / scale, constant([3, 3, channels, 8]), 2, "SAME") + constant([8], 1))
    last = tf.nn.relu(tf.nn.conv2d(net, constant([3, 3, 8, 12], 2), 1, "SAME") + constant([12], 3), name="last")
    return last, tf.matmul(tf.reduce_mean(last, [1, 2]), constant([12, 7], 4), name="logits")


def in_cudnn_order(images, channels):
    """The same in NCHW throughout, which only GPUs run."""
    net = tf.nn.conv2d(images / 1000.0, constant([3, 3, channels, 8]), [1, 1, 2, 2], "SAME", data_format="NCHW")
    net = tf.nn.relu(tf.nn.bias_add(net, constant([8], 1), data_format="NCHW"))
    net = tf.nn.conv2d(net, constant([3, 3, 8, 12], 2), 1, "SAME", data_format="NCHW")
    last = tf.nn.relu(tf.nn.bias_add(net, constant([12], 3), data_format="NCHW"), name="last")
    return last, tf.matmul(tf.reduce_mean(last, [2, 3]), constant([12, 7], 4), name="logits")


def shape_in(order, channels, size=SIZE):
    return [None, *size, channels] if order == "NHWC" else [None, channels, *size]


def file_of(folder, channels, order="NHWC", shape=None, build=None, dtype=tf.float32):
    with tf.Graph().as_default() as graph:
        images = tf.placeholder(dtype, shape_in(order, channels) if shape is None else shape, name="input")
        _, logits = (build or (lambda x, k: member(x, k, order)))(tf.cast(images, tf.float32), channels)
        tf.nn.softmax(logits)
    return write_pb(folder / "net.pb", graph.as_graph_def())


def oracle(pictures, target=2):
    """Logits, activations and gradients of the member, and d logit / d picture: an unmarked graph in NHWC."""
    with tf.Graph().as_default(), tf.Session() as session:
        images = tf.placeholder(tf.float32, pictures.shape)
        last, logits = member(images, pictures.shape[3])
        gradients = tf.gradients(logits[:, target], [last, images])
        return session.run([logits, last, *gradients], {images: pictures})


def close(found, expected, tolerance=1e-4):
    np.testing.assert_allclose(found, expected, rtol=tolerance, atol=tolerance * np.abs(expected).max())


def check(network, pictures, inputs=None, layer="last", factor=1.0):
    """Everything that is said of pictures, against the graph fed `inputs`; d inputs / d pictures is `factor`."""
    logits, activations, gradients, saliency = oracle(pictures if inputs is None else inputs)
    with Explainer(network, layers=[layer], rules=["backprop", "guided"]) as explainer:
        found = explainer.explain(pictures, 2)
        close(explainer.predict(pictures), logits)
        several = explainer.explain_classes(pictures[1], [4, 2])
    close(found.logits, logits)
    close(found.activations[layer], activations)
    close(found.gradients[layer], gradients)
    close(found.saliency["backprop"], saliency * factor)
    close(several.saliency["backprop"][1], saliency[1] * factor)
    cam = np.maximum((gradients.mean((1, 2), keepdims=True) * activations).sum(-1), 0)  # Grad-CAM by hand
    close(found.cam(layer=layer), cam)
    assert found.guided_grad_cam(layer).shape == pictures.shape
    np.testing.assert_array_equal(
        found.guided_grad_cam(layer), found.saliency["guided"] * found.heatmap(layer=layer)[..., None]
    )


class TestChannels:
    @pytest.mark.parametrize("channels", [2, 4, 13])
    @pytest.mark.parametrize("order", ["NHWC", "NCHW"])
    def test_the_numbers_are_the_graphs_own(self, channels, order, tmp_path):
        network = slim_models.load(file_of(tmp_path, channels, order))
        assert network.takes_arrays
        assert network.images.shape.as_list() == [None, *SIZE, channels]
        assert network.channels == channels
        check(network, arrays(channels))

    def test_cudnn_s_order(self, tmp_path):
        check(slim_models.load(file_of(tmp_path, 5, "NCHW", build=in_cudnn_order)), arrays(5))

    def test_it_is_said_in_one_line_and_nothing_is_guessed(self, tmp_path):
        lines = []
        slim_models.load(file_of(tmp_path, 4), say=lines.append)
        assert [line.split(":")[0] for line in lines] == ["images", "logits", "channels", "layer"]
        said = "channels: 4 of input:0 float32 [?, 28, 20, 4] (found: its shape and its first convolution); pictures "
        assert lines[2] == said + "are arrays [N, 28, 20, 4] of any numbers, taken as they are"

    @pytest.mark.parametrize(
        ("order", "shape", "size"),
        [
            ("NHWC", [None, None, None, 6], SIZE),
            ("NCHW", [None, 6, None, None], SIZE),
            ("NHWC", [None, None, None, None], SIZE),
            ("NHWC", None, SIZE),
            ("NHWC", [None, 6, 20, 6], (6, 20)),  # as high as it has channels
            ("NCHW", [None, 6, 28, 6], (28, 6)),
            ("NCHW", [None, 6, 4, 5], (4, 5)),  # smaller than it has channels
            ("NHWC", [None, 1, 28, 6], (1, 28)),  # neither grey in NCHW nor RGB in NCHW
            ("NHWC", [None, 3, 28, 6], (3, 28)),
        ],
    )
    def test_what_the_shape_leaves_open(self, order, shape, size, tmp_path):
        network = slim_models.load(file_of(tmp_path, 6, order, shape), image_size=size)
        assert network.images.shape.as_list() == [None, *size, 6]
        check(network, arrays(6, size=size))

    def test_channels_that_are_taken_apart_before_the_first_convolution(self, tmp_path):
        """RGB and depth, each with a convolution of its own."""

        def build(images, _):
            colour, depth = images[..., :3], images[..., 3:]
            net = tf.nn.conv2d(colour, constant([3, 3, 3, 4]), 1, "SAME")
            net += tf.nn.conv2d(depth, constant([3, 3, 1, 4]), 1, "SAME")
            last = tf.nn.relu(net, name="last")
            return last, tf.matmul(tf.reduce_mean(last, [1, 2]), constant([4, 7], 4))

        for shape in ([None, 28, 20, 4], [None, None, None, 4]):
            network = slim_models.load(file_of(tmp_path, 4, shape=shape, build=build), image_size=SIZE)
            assert network.images.shape.as_list() == [None, *SIZE, 4]
            pictures = arrays(4)
            with tf.Graph().as_default(), tf.Session() as session:
                expected = session.run(build(tf.constant(pictures), 4)[1])
            with Explainer(network) as explainer:
                close(explainer.predict(pictures), expected)

    def test_integers(self, tmp_path):
        network = slim_models.load(file_of(tmp_path, 4, dtype=tf.uint16))
        check(network, np.abs(arrays(4)).round())

    def test_flat_pixels(self, tmp_path):
        path = file_of(
            tmp_path, 4, shape=[None, 28 * 20 * 4], build=lambda x, k: member(tf.reshape(x, [-1, *SIZE, k]), k)
        )
        check(slim_models.load(path), arrays(4))

    def test_a_fixed_number_of_pictures(self, tmp_path):
        network = slim_models.load(file_of(tmp_path, 4, shape=[2, *SIZE, 4]))
        pictures = arrays(4)
        with Explainer(network) as explainer:
            close(explainer.explain(pictures, 2).logits, oracle(pictures)[0])

    def test_a_live_session(self):
        with tf.Graph().as_default(), tf.Session() as session:
            member(tf.placeholder(tf.float32, [None, *SIZE, 4], name="input"), 4)
            check(slim_models.load(session), arrays(4))

    def test_keras(self):
        """Against Keras' own prediction and GradientTape."""
        keras.utils.set_random_seed(0)
        images = keras.layers.Input((*SIZE, 9))
        net = keras.layers.Conv2D(8, 3, strides=2, activation="relu")(images)
        net = last = keras.layers.Conv2D(12, 3, activation="relu", name="last")(net)
        outputs = keras.layers.Dense(5, name="head")(keras.layers.GlobalAveragePooling2D()(net))
        model = keras.Model(images, outputs)
        pictures = RANDOM.normal(0, 2, (2, *SIZE, 9)).astype(np.float32)
        both = keras.Model(images, [last, outputs])
        with tensorflow.GradientTape(persistent=True) as tape:
            fed = tensorflow.constant(pictures)
            tape.watch(fed)
            activations, logits = both(fed)
            y = logits[:, 3]
        gradients = np.asarray(tape.gradient(y, activations))
        with Explainer(slim_models.load(model), rules=["backprop"]) as explainer:
            found = explainer.explain(pictures, 3)
        close(found.logits, model.predict(pictures, verbose=0))
        close(found.saliency["backprop"], np.asarray(tape.gradient(y, fed)))
        close(found.cam(), np.maximum((gradients.mean((1, 2), keepdims=True) * activations).numpy().sum(-1), 0))


class TestPreprocessing:
    MEAN, STD = np.array([-5.0, 0.0, 7.0, 100.0]), np.array([1.0, 2.0, 0.5, 10.0])

    @pytest.mark.parametrize(
        ("preprocessing", "mean", "std"),
        [
            ("mean=-5/0/7/100,std=1/2/0.5/10", MEAN, STD),
            ("mean=-5/0/7/100,std=1/2/0.5/10,scale=10", MEAN * 10, STD * 10),
            ("mean=3,std=1/2/0.5/10", 3, STD),
            ("mean=3,std=2", 3, 2),
            ("scale=10000", 0, 10000),
            ("none", 0, 1),
            ("zero_to_one", 0, 255),
            (lambda images: (images - 3) / 2, 3, 2),
        ],
    )
    def test_what_is_given(self, preprocessing, mean, std, tmp_path):
        lines = []
        network = slim_models.load(file_of(tmp_path, 4), preprocessing=preprocessing, say=lines.append)
        pictures = arrays(4)
        check(network, pictures, ((pictures.astype(np.float64) - mean) / std).astype(np.float32), factor=1 / std)
        assert [line.endswith("preprocessed as given") for line in lines].count(True) == (preprocessing != "none")

    @pytest.mark.parametrize("name", ["subtract_mean", "caffe_bgr", "standardized", "bgr", "mean=1/2/3", "order=BGR"])
    def test_of_three_numbers_for_four_channels(self, name, tmp_path):
        message = f"preprocessing '{name}' has three numbers a pixel, and input:0 takes pictures of 4; "
        with pytest.raises(BadValue, match=message):
            slim_models.load(file_of(tmp_path, 4), preprocessing=name)

    @pytest.mark.parametrize(
        ("channels", "taken"), [(1, "grey pictures of one"), (3, "RGB pictures of three"), (5, "pictures of 5")]
    )
    def test_of_two_numbers(self, channels, taken, tmp_path):
        message = f"preprocessing 'std=1/2' has 2 numbers a pixel, and input:0 takes {taken}; for these there are none"
        with pytest.raises(BadValue, match=message):
            slim_models.load(file_of(tmp_path, channels), preprocessing="std=1/2")


class TestPrepared:
    @pytest.mark.parametrize("order", ["NHWC", "NCHW"])
    @pytest.mark.parametrize("channels", [1, 3, 4])
    def test_the_numbers_are_the_graphs_own(self, channels, order, tmp_path):
        lines = []
        network = slim_models.open_network(file_of(tmp_path, channels, order), prepared=True, say=lines.append)
        assert network.takes_arrays
        assert network.images.shape.as_list() == [None, *SIZE, channels]
        assert [line.split(":")[0] for line in lines] == ["images", "logits", "channels", "layer"]
        assert "(given: the pictures are prepared)" in lines[2]
        check(network, arrays(channels))

    def test_grey_pictures_without_an_axis_for_channels(self, tmp_path):
        path = file_of(tmp_path, 1, shape=[None, *SIZE], build=lambda x, k: member(x[..., None], k))
        check(slim_models.load(path, prepared=True), arrays(1))

    def test_nothing_is_guessed_where_a_graph_says_what_it_wants(self, tmp_path):
        """A graph that divides by 255 is fed pixels as they are, and told the truth about them."""
        path = file_of(tmp_path, 3, build=lambda x, k: member(x / 255.0, k))
        pictures = arrays(3)
        with Explainer(slim_models.load(path, prepared=True)) as explainer:
            close(explainer.predict(pictures), oracle(pictures / 255)[0])

    def test_with_preprocessing(self):
        """Before anything is opened: there is nothing at the path."""
        with pytest.raises(BadValue, match="preprocessing 'none' would change them: give only one of prepared and"):
            slim_models.load("nothing.pb", prepared=True, preprocessing="none")

    def test_networks_of_ours(self):
        with pytest.raises(BadValue, match="vgg16_tiny is a network of ours, .*: it takes no prepared$"):
            slim_models.open_network("vgg16_tiny", prepared=True)
        assert not slim_models.open_network("vgg16_tiny", prepared=False).takes_arrays


@pytest.fixture(scope="module")
def explainer(tmp_path_factory):
    """Of a network of four channels."""
    with Explainer(slim_models.load(file_of(tmp_path_factory.mktemp("four"), 4))) as explainer:
        yield explainer


class TestRefused:
    @pytest.mark.parametrize(
        ("images", "message"),
        [
            (np.zeros((1, *SIZE, 3), np.uint8), r"arrays \[N, 28, 20, 4\] .* in place of photographs, not \[1, 28, 20"),
            (np.zeros((1, 4, *SIZE)), r"arrays \[N, 28, 20, 4\] of any finite numbers"),
            (np.zeros((0, *SIZE, 4)), "N is 0"),
            (np.full((1, *SIZE, 4), np.nan), "images: not finite; there is a NaN"),
            (np.full((1, *SIZE, 4), 1e39), "beyond float32"),
            (np.zeros((1, *SIZE, 4), complex), r"images: numbers should be there, not complex128 \[1, 28, 20, 4\]"),
        ],
    )
    def test_images(self, explainer, images, message):
        for call in (explainer.explain, explainer.predict):
            with pytest.raises(BadValue, match=message):
                call(images)
        if len(images):
            with pytest.raises(BadValue, match=message):
                explainer.explain_classes(images[0], [0, 1])

    def test_one_image_for_several_classes(self, explainer):
        with pytest.raises(BadValue, match=r"one image must be \[H, W, 4\], not \[1, 28, 20, 4\]"):
            explainer.explain_classes(np.zeros((1, *SIZE, 4)), [0])

    def test_arrays_for_photographs(self, tmp_path):
        with Explainer(slim_models.load(file_of(tmp_path, 3), preprocessing="none")) as explainer:
            with pytest.raises(BadValue, match=r"images must be \[N, 28, 20, 3\], not \[1, 28, 20, 4\]"):
                explainer.predict(np.full((1, *SIZE, 4), 200))
            with pytest.raises(BadValue, match="images must be RGB in"):
                explainer.predict(arrays(3))

    def test_what_is_done_to_photographs(self, tmp_path, capsys):
        path = file_of(tmp_path, 4)
        for kind in ("localization", "pointing", "faithfulness", "sanity"):
            assert main(["evaluate", kind, "--network", str(path), "--out", str(tmp_path / "out.png")]) == 2
            last = capsys.readouterr().err.splitlines()[-1]
            assert last == (
                "gradcam: net takes arrays [N, 28, 20, 4] in place of photographs, which are what this works on"
            )
        assert [path.name for path in tmp_path.iterdir()] == ["net.pb"]

    def test_a_prepared_network_of_three_channels_sees_no_data_set(self, tmp_path):
        network = slim_models.load(file_of(tmp_path, 3), prepared=True)
        with pytest.raises(BadValue, match="in place of photographs"):
            run(
                network,
                read_examples("samples"),
                Localization(methods_named(["grad_cam"]), BoxProtocol()),
                tmp_path / "out.png",
            )
        with (
            Explainer(network, rules=["backprop"]) as explainer,
            pytest.raises(BadValue, match="in place of photographs"),
        ):
            perturb(explainer, np.zeros((*SIZE, 3), np.uint8), 1)
