"""`load`: what it finds in other people's graphs, what it refuses, and whether the numbers are right."""

import numpy as np
import pytest
import tensorflow.compat.v1 as tf
from foreign import classifier, constant, keras_model, load, unmarked, write_pb

import slim_models
from gradcam.explainer import Explainer
from slim_models.mistakes import BadValue

IMAGES = np.random.default_rng(0).uniform(0, 255, (3, 32, 32, 3)).astype(np.float32)


def graph_of(build, shape=(None, 32, 32, 3), dtype=tf.float32):
    """The GraphDef of `build(images)`, of constants only."""
    graph = tf.Graph()
    with graph.as_default():
        build(tf.placeholder(dtype, shape, name="input"))
    return graph.as_graph_def()


def file_of(folder, build, *args, **options):
    return write_pb(folder / "net.pb", graph_of(build, *args, **options))


def plain(graph_def, fetches, images):
    """What TensorFlow itself says of the graph as it is, by bare `tf.gradients`: (logits, activations, d y / d A)."""
    with tf.Graph().as_default(), tf.Session() as session:
        logits, activations = tf.import_graph_def(graph_def, return_elements=fetches, name="")
        gradient = tf.gradients(logits[:, 2], activations)[0]
        return session.run([logits, activations, gradient], {"input:0": images})


def explained(network, images=IMAGES, rules=("backprop",)):
    with Explainer(network, rules=rules) as explainer:
        return explainer.explain(images, 2)


def close(found, expected, tolerance=1e-5):
    np.testing.assert_allclose(found, expected, rtol=tolerance, atol=tolerance * np.abs(expected).max())


class TestWhatIsFound:
    def test_everything_is_said(self, tmp_path):
        lines = []
        network = load(file_of(tmp_path, classifier), say=lines.append)
        assert network.logits.shape.as_list() == [None, 7]
        assert [line.split(":")[0] for line in lines] == ["images", "logits", "layer"]
        assert "input:0 float32 [?, 32, 32, 3]" in lines[0]
        assert "logits:0 float32 [?, 7]" in lines[1]
        assert list(network.endpoints) == ["Relu", "Relu_1"]
        assert network.default_layer == "Relu_1"
        assert network.name == "net"

    def test_what_is_given_is_not_guessed(self, tmp_path):
        lines = []
        path = file_of(tmp_path, classifier)
        network = load(path, images="input", logits="probabilities", layer="Conv2D_1", say=lines.append)
        assert network.default_layer == "Conv2D_1"
        assert [line.split(":")[0] for line in lines] == ["logits"]
        assert "a step back from probabilities:0" in lines[0]

    def test_the_numbers_are_the_graphs_own(self, tmp_path):
        graph_def = graph_of(classifier)
        found = explained(load(write_pb(tmp_path / "net.pb", graph_def)))
        logits, activations, gradient = plain(graph_def, ["logits:0", "Relu_1:0"], IMAGES)
        close(found.logits, logits)
        close(found.activations["Relu_1"], activations)
        close(found.gradients["Relu_1"], gradient)

    @pytest.mark.parametrize("form", ["log", "shifted", "bare"])
    def test_a_softmax_of_single_operations(self, form, tmp_path):
        def build(images):
            _, logits = classifier(images)
            if form == "log":
                tf.reshape(tf.nn.log_softmax(logits), [-1, 7])
            inside = logits - tf.reduce_max(logits, 1, keepdims=True) if form == "shifted" else logits
            powers = tf.exp(inside)
            tf.identity(powers / tf.reduce_sum(powers, 1, keepdims=True), name="by_hand")

        path = file_of(tmp_path, build)
        output = {"log": "Reshape"}.get(form, "by_hand")
        expected = plain(graph_of(build), ["logits:0", "Relu_1:0"], IMAGES)[0]
        close(explained(load(path, logits=output)).logits, expected)

    def test_a_softmax_that_cannot_be_stepped_over(self, tmp_path):
        def build(images):
            powers = tf.exp(classifier(images)[1])
            tf.divide(powers, 1.0 + tf.reduce_sum(powers, 1, keepdims=True), name="odd")

        with pytest.raises(ValueError, match="odd looks like a softmax made by hand"):
            load(file_of(tmp_path, build), logits="odd")

    def test_training_left_in_the_graph(self, tmp_path):
        """Losses, labels, accuracy and gradients beside the classifier are no candidates."""

        def build(images):
            _, logits = classifier(images)
            labels = tf.placeholder(tf.int32, [None], name="labels")
            loss = tf.nn.sparse_softmax_cross_entropy_with_logits(logits=logits, labels=labels)
            tf.gradients(tf.reduce_mean(loss), images)
            tf.nn.in_top_k(logits, labels, 5)

        network = load(file_of(tmp_path, build))
        assert network.logits.op.inputs  # [N, 7]
        assert network.num_classes == 7

    def test_inception_has_auxiliary_heads_and_branches(self, tmp_path):
        def build(images):
            def conv(net, depth, seed):
                return tf.nn.relu(tf.nn.conv2d(net, constant([3, 3, net.shape[-1], depth], seed), 1, "SAME"))

            net = conv(images, 8, 0)
            tf.nn.softmax(tf.matmul(tf.reduce_mean(conv(net, 4, 9), [1, 2]), constant([4, 7], 1)), name="early")
            for seed in range(2, 6):
                net = tf.concat([conv(net, 4, seed), conv(net, 4, seed + 10)], -1, name=f"mixed_{seed}")
            tf.nn.softmax(tf.matmul(tf.reduce_mean(net, [1, 2]), constant([8, 7], 6), name="head"), name="late")

        lines = []
        network = load(file_of(tmp_path, build), say=lines.append)
        assert "head:0" in lines[1]
        assert "auxiliary" in lines[1]
        assert network.default_layer == "mixed_5"  # not the last ReLU, which is one of its branches

    def test_a_residual_network_ends_in_its_last_sum(self, tmp_path):
        def build(images):
            net = tf.nn.conv2d(images, constant([3, 3, 3, 8]), 2, "SAME")
            for seed in (1, 2):
                net += tf.nn.conv2d(tf.nn.relu(net), constant([3, 3, 8, 8], seed), 1, "SAME", name=f"inner_{seed}")
            net = tf.identity(net, name="features")
            tf.matmul(tf.reduce_mean(net, [1, 2]), constant([8, 7], 3), name="logits")

        assert load(file_of(tmp_path, build)).default_layer == "add_1"

    def test_keep_prob_and_training_placeholders(self, tmp_path):
        def build(images):
            activations, _ = classifier(images)
            keep = tf.placeholder(tf.float32, [], name="keep_prob")
            training = tf.placeholder(tf.bool, [], name="is_training")
            inference, trained = tf.raw_ops.Switch(data=activations, pred=training)
            net = tf.raw_ops.Merge(inputs=[inference, trained * 2.0]).output
            tf.matmul(tf.reduce_mean(net, [1, 2]) * keep, constant([12, 5], 9), name="end")

        lines = []
        network = load(file_of(tmp_path, build), logits="end", say=lines.append)
        assert "keep_prob: 1.0 (guessed by its name)" in lines
        assert "is_training: False (guessed by its name)" in lines
        found = explained(network)
        activations = plain(graph_of(classifier), ["logits:0", "Relu_1:0"], IMAGES)[1]
        with tf.Session(graph=tf.Graph()) as session:
            weights = session.run(constant([12, 5], 9))
        close(found.logits, activations.mean((1, 2)) @ weights)

    def test_text_of_what_has_no_default(self, tmp_path):
        def build(images):
            tf.add(classifier(images)[1], tf.placeholder(tf.float32, [7], name="prior"), name="end")

        with pytest.raises(ValueError, match=r"depend on the input prior \(float32 \[7\]\)"):
            load(file_of(tmp_path, build), logits="end")


class TestInputs:
    def test_uint8_with_preprocessing_inside(self, tmp_path):
        def build(images):
            classifier(tf.cast(images, tf.float32) / 127.5 - 1)

        lines = []
        path = file_of(tmp_path, build, dtype=tf.uint8)
        network = load(path, preprocessing=None, say=lines.append)
        assert "preprocessing: none (found: the graph takes integers)" in lines
        whole = IMAGES.round()
        found = explained(network, whole)
        logits, _, gradient = plain(graph_of(build, dtype=tf.uint8), ["logits:0", "Relu_1:0"], whole.astype(np.uint8))
        close(found.logits, logits)
        close(found.gradients["Relu_1"], gradient)
        assert np.abs(found.saliency["backprop"]).max() > 0  # bare TensorFlow has no gradient at integers
        scaled = plain(graph_of(classifier), ["logits:0", "input:0"], whole / 127.5 - 1)[2]
        close(found.saliency["backprop"], scaled / 127.5)

    def test_a_graph_in_half_precision(self, tmp_path):
        def build(images):
            def half(*given):
                return tf.cast(constant(*given), tf.float16)

            net = tf.nn.relu(tf.nn.conv2d(images / 64, half([3, 3, 3, 8]), 2, "SAME") + half([8], 1))
            net = tf.nn.relu(tf.nn.conv2d(net, half([3, 3, 8, 12], 2), 1, "SAME"))
            tf.nn.softmax(tf.matmul(tf.reduce_mean(net, [1, 2]), half([12, 7], 4), name="end"))

        def in_full(images):
            net = tf.nn.relu(tf.nn.conv2d(images / 64, constant([3, 3, 3, 8]), 2, "SAME") + constant([8], 1))
            net = tf.nn.relu(tf.nn.conv2d(net, constant([3, 3, 8, 12], 2), 1, "SAME"))
            tf.nn.softmax(tf.matmul(tf.reduce_mean(net, [1, 2]), constant([12, 7], 4), name="end"))

        network = load(file_of(tmp_path, build, dtype=tf.float16))
        assert network.precision == "float16"
        found, expected = explained(network), explained(load(file_of(tmp_path, in_full)))
        assert found.logits.dtype == found.cam().dtype == np.float32
        close(found.logits, expected.logits, 5e-3)
        close(found.cam(), expected.cam(), 1e-2)
        for saliency in (found.saliency["backprop"], expected.saliency["backprop"]):
            assert np.corrcoef(found.saliency["backprop"].ravel(), saliency.ravel())[0, 1] > 0.99

    def test_half_precision(self, tmp_path):
        def build(images):
            half = tf.cast(images, tf.float32)
            tf.cast(classifier(half)[1], tf.float16, name="end")

        network = load(file_of(tmp_path, build, dtype=tf.float16), logits="end")
        found = explained(network)
        expected = plain(graph_of(classifier), ["logits:0", "input:0"], IMAGES.astype(np.float16).astype(np.float32))
        close(found.logits, expected[0], 2e-3)
        close(found.saliency["backprop"], expected[2], 2e-3)

    def test_channels_first(self, tmp_path):
        def build(images):
            net = tf.nn.conv2d(images, constant([3, 3, 3, 8]), [1, 1, 2, 2], "SAME", data_format="NCHW")
            net = tf.nn.relu(tf.nn.bias_add(net, constant([8], 1), data_format="NCHW"))
            net = tf.nn.conv2d(net, constant([3, 3, 8, 12], 2), 1, "SAME", data_format="NCHW")
            net = tf.nn.relu(tf.nn.bias_add(net, constant([12], 3), data_format="NCHW"))
            tf.matmul(tf.reduce_mean(net, [2, 3]), constant([12, 7], 4), name="logits")

        network = load(file_of(tmp_path, build, (None, 3, 32, 32)))
        assert network.images.shape.as_list() == [None, 32, 32, 3]
        found = explained(network)
        expected = explained(load(file_of(tmp_path, classifier)))
        close(found.logits, expected.logits)
        close(found.cam(), expected.cam())
        close(found.saliency["backprop"], expected.saliency["backprop"])

    def test_a_batch_size_that_can_be_freed(self, tmp_path):
        def build(images):
            tf.reshape(classifier(images)[1], [1, 7], name="end")

        network = load(file_of(tmp_path, build, (1, 32, 32, 3)), logits="end")
        assert network.batch_size is None
        close(explained(network).logits, explained(load(file_of(tmp_path, classifier))).logits)

    @pytest.mark.parametrize("size", [1, 2, 4])
    def test_a_batch_size_that_cannot(self, size, tmp_path):
        """Pictures of which each is told apart by its place: three are run in portions of the size."""

        def build(images):
            rows = tf.unstack(tf.cumsum(images * 0.0) + images, axis=0)  # nobody can prove that this is the images
            classifier(tf.stack(rows))

        network = load(file_of(tmp_path, build, (size, 32, 32, 3)))
        assert network.batch_size == size
        expected = explained(load(file_of(tmp_path, classifier)))
        with Explainer(network, rules=["backprop"]) as explainer:
            found = explainer.explain(IMAGES, 2)
            close(found.logits, expected.logits)
            close(found.cam(), expected.cam())
            close(found.saliency["backprop"], expected.saliency["backprop"])
            close(explainer.predict(IMAGES), expected.logits)
            several = explainer.explain_classes(IMAGES[0], [0, 2, 5])
            close(several.cam()[1], expected.cam()[0])
            assert list(explainer.explain(IMAGES).targets) == list(expected.logits.argmax(1))

    def test_any_size(self, tmp_path):
        lines = []
        path = file_of(tmp_path, classifier, (None, None, None, 3))
        assert load(path, say=lines.append).image_size == (224, 224)
        assert any(line.startswith("image size: 224 x 224 (guessed") for line in lines)
        assert load(path, image_size=(20, 28)).image_size == (20, 28)
        close(explained(load(path, image_size=32)).logits, explained(load(file_of(tmp_path, classifier))).logits)

    def test_a_size_that_only_the_last_layer_knows(self, tmp_path):
        def build(images):
            net = tf.nn.relu(tf.nn.conv2d(images, constant([3, 3, 3, 2]), 8, "SAME"))
            tf.matmul(tf.reshape(net, [tf.shape(net)[0], -1]), constant([2 * 12 * 12, 7], 1), name="logits")

        network = load(file_of(tmp_path, build, (None, None, None, 3)))
        assert network.image_size == (96, 96)

    def test_an_unknown_shape(self, tmp_path):
        graph_def = graph_of(classifier, None)
        network = load(write_pb(tmp_path / "net.pb", graph_def), image_size=32)
        close(explained(network).logits, plain(graph_def, ["logits:0", "Relu_1:0"], IMAGES)[0])

    def test_encoded_pictures(self, tmp_path):
        graph = tf.Graph()
        with graph.as_default():
            contents = tf.placeholder(tf.string, [], name="contents")
            picture = tf.cast(tf.image.decode_jpeg(contents, channels=3), tf.float32)
            classifier(tf.image.resize_bilinear(picture[None], [32, 32], name="resized"))
        lines = []
        network = load(write_pb(tmp_path / "net.pb", graph.as_graph_def()), say=lines.append)
        assert "images: resized:0 (found: what is decoded from contents:0)" in lines
        close(explained(network).logits, explained(load(file_of(tmp_path, classifier))).logits)


class TestRefusals:
    """One line that names the thing, its value and the choices."""

    def test_nothing_there(self, tmp_path):
        with pytest.raises(FileNotFoundError, match="no network at .*nothing.pb"):
            load(tmp_path / "nothing.pb")

    @pytest.mark.parametrize("content", [b"hello, world", b"<!DOCTYPE html><html>", b"", b"\x93NUMPY\x01\x00"])
    def test_no_graph(self, content, tmp_path):
        (tmp_path / "net.pb").write_bytes(content)
        with pytest.raises(ValueError, match=r"net\.pb is not a frozen graph") as error:
            load(tmp_path / "net.pb")
        assert "\n" not in str(error.value)

    @pytest.mark.parametrize("name", ["vgg16.npy", "weights.npz", "resnet_v1_50.ckpt", "model.index"])
    def test_weights_without_a_graph(self, name, tmp_path):
        (tmp_path / name).write_bytes(b"weights")
        with pytest.raises(ValueError, match="holds weights without their graph: they are for a network of ours"):
            load(tmp_path / name.removesuffix(".index"))

    def test_half_a_file(self, tmp_path):
        path = file_of(tmp_path, classifier)
        path.write_bytes(path.read_bytes()[:-100])
        with pytest.raises(ValueError, match="is not a frozen graph"):
            load(path)

    def test_not_frozen(self, tmp_path):
        def build(images):
            kernel = tf.get_variable("kernel", [3, 3, 3, 4])
            tf.reduce_mean(tf.nn.conv2d(images, kernel, 1, "SAME"), [1, 2], name="logits")

        with pytest.raises(ValueError, match=r"is not frozen: 1 variables \(kernel"):
            load(file_of(tmp_path, build))

    def test_a_checkpoint_without_its_graph_or_its_values(self, tmp_path):
        (tmp_path / "model.ckpt.index").write_bytes(b"")
        with pytest.raises(FileNotFoundError, match=r"no graph at .*model\.ckpt\.meta"):
            load(tmp_path / "model.ckpt.index")
        graph = tf.Graph()
        with graph.as_default():
            images = tf.placeholder(tf.float32, [None, 32, 32, 3])
            net = tf.nn.relu(tf.nn.conv2d(images, tf.get_variable("kernel", [3, 3, 3, 7]), 1, "SAME"))
            tf.nn.softmax(tf.reduce_mean(net, [1, 2]))
            tf.train.export_meta_graph(str(tmp_path / "model.ckpt.meta"), saver_def=tf.train.Saver().as_saver_def())
        network = load(tmp_path / "model.ckpt.meta")
        with pytest.raises(ValueError, match=r"no values for the variables at .*model\.ckpt"):
            Explainer(network)

    def test_no_classifier(self, tmp_path):
        def build(images):
            net = tf.nn.relu(tf.nn.conv2d(images, constant([3, 3, 3, 4]), 1, "SAME"))
            return tf.nn.conv2d(net, constant([1, 1, 4, 21], 1), 1, "SAME", name="masks")

        message = r"the graph is no classifier.*outputs are masks:0 float32 \[\?, 32, 32, 21\]"
        with pytest.raises(ValueError, match=message):
            load(file_of(tmp_path, build))
        with pytest.raises(ValueError, match=r"must be \[N, C\] numbers, or a map \[N, h, w, C\], and net:0"):
            load(file_of(tmp_path, lambda images: tf.reshape(build(images), [-1, 32, 32 * 21], "net")), logits="net")

    def test_no_convolutions(self, tmp_path):
        def build(images):
            hidden = tf.nn.relu(tf.matmul(tf.reshape(images, [-1, 32 * 32 * 3]), constant([32 * 32 * 3, 5])))
            tf.nn.softmax(tf.matmul(hidden, constant([5, 7], 1)))

        with pytest.raises(ValueError, match="net has no activations with a spatial extent"):
            load(file_of(tmp_path, build))

    def test_two_inputs(self, tmp_path):
        def build(images):
            other = tf.placeholder(tf.float32, [None, 32, 32, 3], name="other")
            classifier(images + other)

        with pytest.raises(ValueError, match=r"2 inputs could be the pictures: input:0 .*other:0"):
            load(file_of(tmp_path, build))

    def test_no_pictures(self, tmp_path):
        with pytest.raises(ValueError, match=r"no input of the graph could be pictures: its inputs are input:0"):
            load(file_of(tmp_path, lambda images: tf.nn.softmax(images), (None, 12)))

    def test_two_classifiers(self, tmp_path):
        def build(images):
            activations, _ = classifier(images)
            for name in ("ages", "faces"):
                tf.nn.softmax(tf.matmul(tf.reduce_mean(activations, [1, 2]), constant([12, 5]), name=name))

        with pytest.raises(ValueError, match=r"3 outputs could be the logits: ages:0 .*faces:0 .*logits:0"):
            load(file_of(tmp_path, build))
        assert load(file_of(tmp_path, build), logits="faces").num_classes == 5

    def test_two_towers(self, tmp_path):
        def build(images):
            towers = [tf.nn.relu(tf.nn.conv2d(images, constant([3, 3, 3, 4], seed), 2, "SAME")) for seed in (0, 1)]
            tf.nn.softmax(tf.matmul(tf.concat([tf.reduce_mean(t, [1, 2]) for t in towers], 1), constant([8, 7])))

        path = file_of(tmp_path, build)
        with pytest.raises(ValueError, match="no layer that all paths to the logits lead through.*Relu, Relu_1"):
            load(path)
        assert load(path, layer="Relu").default_layer == "Relu"

    def test_names_that_are_not_there(self, tmp_path):
        path = file_of(tmp_path, classifier)
        with pytest.raises(KeyError, match=r"no tensor 'inputs'; similar: input"):
            load(path, images="inputs")
        with pytest.raises(KeyError, match=r"no tensor 'logit'; similar: logits"):
            load(path, logits="logit")
        with pytest.raises(KeyError, match=r"no layer 'conv9'; the layers are Relu, Relu_1"):
            load(path, layer="conv9")
        with pytest.raises(ValueError, match=r"layer 'logits' has no spatial extent"):
            load(path, layer="logits")
        with pytest.raises(KeyError, match=r"no preprocessing 'vgg'; there are none, minus_one_to_one"):
            load(path, preprocessing="vgg")
        with pytest.raises(ValueError, match="does not depend on the images"):
            load(path, images="Relu_1", logits="Const_4", image_size=32)

    def test_a_size_that_is_not_the_graphs(self, tmp_path):
        with pytest.raises(ValueError, match="takes pictures of 32 x 32, not 64 x 64"):
            load(file_of(tmp_path, classifier), image_size=64)

    @pytest.mark.parametrize(
        "size", [0, -32, 32.0, "32", True, np.True_, (), (32,), (32, 0), (32, 32.0), (32, True), (32, 32, 3), "ab", 1e9]
    )
    def test_a_size_that_is_none(self, size):
        """Before anything is opened: there is nothing at the path."""
        with pytest.raises(BadValue) as error:
            load("nothing.pb", image_size=size)
        assert str(error.value) == (
            f"image_size must be a positive whole number of pixels, or (height, width) in pixels, not {size!r}"
        )

    @pytest.mark.parametrize("size", [(20, 28), [20, 28], (np.int64(20), np.int32(28))])
    def test_sizes_of_every_kind(self, size, tmp_path):
        path = file_of(tmp_path, classifier, (None, None, None, 3))
        assert load(path, image_size=size).image_size == (20, 28)

    def test_the_rewrite_that_failed_is_named(self, tmp_path):
        def build(images):
            classifier(tf.cast(images // 2, tf.float32))

        with pytest.raises(BadValue, match=r"'floordiv', a FloorDiv, on its way.* \(in the pass float_input\)$"):
            load(file_of(tmp_path, build, dtype=tf.uint8))

    def test_preprocessing_that_cannot_be_told(self, tmp_path):
        with pytest.raises(ValueError, match="cannot be told.*give preprocessing, one of none, minus_one_to_one"):
            load(file_of(tmp_path, classifier), preprocessing=None)

    def test_labels(self, tmp_path):
        path = file_of(tmp_path, classifier)
        (tmp_path / "names.txt").write_text("a\nb\nc\n")
        with pytest.raises(ValueError, match="3 labels in .* for 7 classes"):
            load(path, labels=tmp_path / "names.txt")
        with pytest.raises(FileNotFoundError, match="no list of classes 'cifar': the lists are imagenet"):
            load(path, labels="cifar")
        with pytest.raises(ValueError, match="6 labels for 7 classes"):  # no background is made up
            load(path, labels=list("abcdef"))
        with Explainer(load(path, labels=list("abcdefg"))) as explainer:
            assert explainer.index("b") == 1

    def test_something_else(self):
        with pytest.raises(ValueError, match="a network is a path, a tf.Session, a tf.Graph or a Keras model, not 3"):
            load(3)

    def test_the_classes_of_imagenet(self, tmp_path):
        for classes, espresso in ((1000, 967), (1001, 968)):
            lines = []
            path = file_of(tmp_path, lambda images, count=classes: classifier(images, classes=count))
            with Explainer(load(path, say=lines.append)) as explainer:
                assert explainer.index("espresso") == espresso
            assert [line for line in lines if line.startswith(f"labels: imagenet (guessed: {classes} classes")]

    def test_a_graph_with_variables_needs_its_session(self):
        graph = tf.Graph()
        with graph.as_default():
            tf.get_variable("kernel", [3])
        with pytest.raises(ValueError, match=r"1 variables \(kernel, ...\): give the session"):
            load(graph)
        graph.finalize()
        with pytest.raises(ValueError, match=r"1 variables \(kernel, ...\): give the session"):
            load(graph)

    def test_precision_and_device_of_what_was_loaded(self, tmp_path):
        network = load(file_of(tmp_path, classifier))
        with pytest.raises(ValueError, match="stays in float32"):
            Explainer(network, precision="bfloat16")
        graph = unmarked(lambda images: classifier(images))
        with tf.Session(graph=graph) as session:
            network = load(session, image_size=32)
            with pytest.raises(ValueError, match="user's own: its device cannot be chosen"):
                Explainer(network, device="cpu")

    @pytest.mark.filterwarnings("ignore::DeprecationWarning")
    def test_keras_files_that_are_no_models(self, tmp_path):
        (tmp_path / "net.keras").write_text("hello")
        with pytest.raises(ValueError, match=r"Keras [\d.]+ cannot read .*net\.keras as a model"):
            load(tmp_path / "net.keras")
        keras_model().save_weights(str(tmp_path / "net.weights.h5"))
        with pytest.raises(ValueError, match=r"cannot read .*net\.weights\.h5 as a model"):
            load(tmp_path / "net.weights.h5")


class TestGraphsThatTensorFlowRefuses:
    """One line, whatever TensorFlow raises: nothing but a ValueError is a user's mistake to the command line."""

    def refused(self, tmp_path, graph_def):
        with pytest.raises(ValueError) as caught:
            load(write_pb(tmp_path / "net.pb", graph_def))
        assert len(str(caught.value).splitlines()) == 1
        assert str(caught.value).startswith(f"{tmp_path / 'net.pb'}: TensorFlow cannot import the graph: ")
        return str(caught.value)

    def test_an_operation_that_is_registered_nowhere(self, tmp_path):
        graph_def = graph_of(classifier)
        next(node for node in graph_def.node if node.op == "Relu").op = "MyOwnRelu"
        assert "MyOwnRelu" in self.refused(tmp_path, graph_def)

    def test_a_missing_operation(self, tmp_path):
        graph_def = graph_of(classifier)
        next(node for node in graph_def.node if node.op == "Relu").input[0] = "nowhere"
        assert "nowhere" in self.refused(tmp_path, graph_def)

    def test_shapes_that_do_not_fit(self, tmp_path):
        graph_def = graph_of(classifier)
        convolution = next(node for node in graph_def.node if node.op == "Conv2D")
        convolution.attr["strides"].list.i[:] = [1, 2]
        assert convolution.name in self.refused(tmp_path, graph_def)


class TestTrainingLeftIn:
    """What makes a picture's explanation depend on the others of its batch, or on chance, is reported."""

    def test_batch_norm_in_training_mode(self, tmp_path):
        def build(images):
            net, _, _ = tf.nn.fused_batch_norm(images, tf.ones(3), tf.zeros(3), is_training=True, name="norm")
            classifier(net)

        with pytest.warns(RuntimeWarning, match="norm"):
            load(file_of(tmp_path, build))

    def test_noise(self, tmp_path):
        with pytest.warns(RuntimeWarning, match="is random"):
            load(file_of(tmp_path, lambda images: classifier(images + tf.random.normal(tf.shape(images)))))

    @pytest.mark.filterwarnings("error:.*is random")
    def test_dropout_drops_nothing(self, tmp_path):
        network = load(file_of(tmp_path, lambda images: classifier(tf.nn.dropout(images, rate=0.5))))
        expected = load(file_of(tmp_path, classifier))
        logits = [explained(one, IMAGES, ()).logits for one in (network, expected)]
        np.testing.assert_array_equal(*logits)


class TestActivations:
    @pytest.mark.parametrize("name", ["leaky_relu", "elu", "selu", "softplus", "sigmoid", "tanh", "silu", "relu6"])
    def test_gradients_against_finite_differences(self, name, tmp_path):
        """Of the logit along the signs of the gradient, by the loaded network's own forward runs."""
        network = load(file_of(tmp_path, lambda images: classifier(images / 255 - 0.5, getattr(tf.nn, name))))
        with Explainer(network, rules=["backprop"]) as explainer:
            saliency = explainer.explain(IMAGES[:1], 2).saliency["backprop"][0]
            inside = np.clip(IMAGES[0], 1, 254)
            up, down = inside + np.sign(saliency), inside - np.sign(saliency)
            saliency = explainer.explain(inside[None], 2).saliency["backprop"][0]
            difference = np.subtract(*explainer.predict(np.stack([up, down]))[:, 2])
        np.testing.assert_allclose((saliency * (up - down)).sum(), difference, rtol=0.01)

    def test_relu6_closes_above_six(self, tmp_path):
        """One unit at a time: pixels 0, 100 and 255 over 25 are 0, 4 and 10.2; only 4 lets anything through."""

        def build(images):
            net = tf.nn.relu6(tf.nn.conv2d(images / 25, tf.ones([1, 1, 3, 1]) / 3, 1, "VALID"))
            tf.nn.softmax(tf.concat([tf.reduce_sum(net, [1, 2])] * 3, 1))

        pixels = np.zeros((1, 1, 3, 3), np.float32)
        pixels[0, 0, 1], pixels[0, 0, 2] = 100, 255
        path = file_of(tmp_path, build, (None, 1, 3, 3))
        found = explained(load(path), pixels, slim_models.RULES)
        open_only = np.zeros_like(pixels)
        open_only[0, 0, 1] = 1 / 75
        close(found.saliency["backprop"], open_only)
        close(found.saliency["guided"], open_only)
        close(found.saliency["deconvnet"], np.full_like(pixels, 1 / 75))


@pytest.mark.parametrize(
    ("shape", "most"),
    [
        ((None, 32, 32, 3), 3),  # as it is, and that no picture changes another's logits by two and three of them
        ((1, 32, 32, 3), 4),  # and with the number of pictures freed
        ((None, None, None, 3), 4),  # and for pictures of 224 x 224
    ],
)
def test_shapes_are_inferred_once(shape, most, tmp_path, monkeypatch):
    """A graph that no pass changes needs no second inference; it is imported once more, to be explained."""
    path = file_of(tmp_path, classifier, shape)
    made, real = [], tf.import_graph_def
    monkeypatch.setattr(tf, "import_graph_def", lambda *args, **named: made.append(1) or real(*args, **named))
    load(path)
    assert len(made) - 1 <= most


def test_heavy_constants_become_variables(tmp_path, monkeypatch):
    """Of the same values, on every road; the optimiser would copy a constant of a frozen VGG16 until memory is full."""
    graph_def = graph_of(classifier)
    path = write_pb(tmp_path / "net.pb", graph_def)
    expected = plain(graph_def, ["logits:0", "Relu_1:0"], IMAGES)
    assert load(path).variables() == {}
    # Numbers: the two kernels and the head have more.
    monkeypatch.setattr("slim_models.loading.passes.lightened._HEAVY", 80)
    network = load(path)
    assert {variable.shape.num_elements() for variable in network.variables().values()} == {216, 864, 84}
    found = explained(network)
    close(found.logits, expected[0])
    close(found.gradients["Relu_1"], expected[2])
    with tf.Graph().as_default() as graph, tf.Session():
        tf.import_graph_def(graph_def, name="")
    close(explained(load(graph)).logits, expected[0])
