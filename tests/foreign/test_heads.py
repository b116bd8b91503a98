"""What a network says of its logits: one sigmoid, several, one number; held against the networks' own predictions."""

import keras
import numpy as np
import pytest
import tensorflow.compat.v1 as tf
from foreign import classifier, constant, frozen, load, write_pb

import slim_models
from gradcam.cli import main
from gradcam.cli.reproduction import row_title
from gradcam.explainer import Explainer

IMAGES = np.random.default_rng(0).uniform(0, 255, (3, 32, 32, 3)).astype(np.float32)


def keras_member(activation, units=1):
    keras.utils.set_random_seed(0)
    images = keras.layers.Input((32, 32, 3))
    net = keras.layers.Conv2D(8, 3, activation="relu")(keras.layers.Rescaling(1 / 255, -0.5)(images))
    net = keras.layers.GlobalAveragePooling2D()(net)
    return keras.Model(images, keras.layers.Dense(units, activation=activation, use_bias=True)(net))


def file_of(folder, end, classes=1):
    """A frozen member of `[N, classes]` logits, of which `end` makes the output; and its graph."""
    with tf.Graph().as_default() as graph:
        _, logits = classifier(tf.placeholder(tf.float32, [None, 32, 32, 3], name="input") / 255 - 0.5, classes=classes)
        output = tf.identity(end(logits), name="output")
    graph_def = tf.graph_util.extract_sub_graph(graph.as_graph_def(), [output.op.name])
    return write_pb(folder / "net.pb", graph_def), graph_def


def oracle(graph_def):
    """By a live session of the graph as it is: output, z, activations, dz / d activations and dz / d images."""
    with tf.Graph().as_default(), tf.Session() as session:
        names = ["output:0", "logits:0", "activations:0", "input:0"]
        output, z, activations, images = tf.import_graph_def(graph_def, return_elements=names, name="")
        return session.run([output, z, activations, *tf.gradients(z, [activations, images])], {images: IMAGES})


def close(found, expected, tolerance=1e-4):
    np.testing.assert_allclose(found, expected, rtol=tolerance, atol=tolerance * np.abs(expected).max())


def both_directions(network):
    with Explainer(network, rules=["backprop"]) as explainer:
        return [explainer.explain(IMAGES, target) for target in (0, 1)], explainer.explain(IMAGES)


ENDS = {
    "sigmoid": tf.sigmoid,
    "rounded": lambda z: tf.round(tf.sigmoid(z)),
    "squeezed": lambda z: tf.sigmoid(tf.squeeze(z, [1])),
    "flat": lambda z: tf.reshape(tf.sigmoid(z), [-1]),
}


@pytest.mark.parametrize("end", ENDS)
def test_one_sigmoid(end, tmp_path):
    path, graph_def = file_of(tmp_path, ENDS[end])
    network = load(path)
    assert (network.head, network.one_output, network.num_classes, network.labels) == ("sigmoid", True, 2, None)
    (against, of), predicted = both_directions(network)
    output, z, activations, at_layer, at_images = oracle(graph_def)
    close(of.logits, np.concatenate([-z, z], 1))
    probability = 1 / (1 + np.exp(-z[:, 0].astype(np.float64)))
    if end != "rounded":
        close(probability, output.ravel())
    close(of.probabilities, np.stack([1 - probability, probability], 1))
    assert list(predicted.targets) == list((z[:, 0] > 0).astype(int))
    for sign, explanation in ((-1, against), (1, of)):
        close(explanation.gradients["Relu_1"], sign * at_layer)
        close(explanation.saliency["backprop"], sign * at_images)
        weights = sign * at_layer.mean((1, 2), keepdims=True)  # Grad-CAM by hand
        close(explanation.cam(), np.maximum((weights * activations).sum(-1), 0))


def test_a_linear_number(tmp_path):
    path, graph_def = file_of(tmp_path, lambda z: 10 * z + 3)
    lines = []
    network = load(path, say=lines.append)
    assert (network.head, network.one_output, network.labels.names) == ("linear", True, ("lower", "higher"))
    assert [line for line in lines if line.startswith("head: linear (guessed: one output, which no sigmoid reads")]
    (lower, higher), _ = both_directions(network)
    output, _, _, at_layer, at_images = oracle(graph_def)
    close(higher.logits, np.concatenate([-output, output], 1))
    close(higher.said, np.repeat(output, 2, 1))
    close(lower.said, higher.said)
    for sign, explanation in ((-10, lower), (10, higher)):
        close(explanation.gradients["Relu_1"], sign * at_layer)
        close(explanation.saliency["backprop"], sign * at_images)
    with pytest.raises(ValueError, match="a linear head says no probabilities"):
        _ = higher.probabilities
    assert load(path, head="sigmoid").labels is None
    assert load(path, head="sigmoid").num_classes == 2
    assert load(path, head="softmax").num_classes == 1  # as it is, if somebody wants it


@pytest.mark.parametrize("activation", ["sigmoid", None])
def test_keras(activation):
    model = keras_member(activation)
    network = load(model)
    expected = model.predict(IMAGES, verbose=0)
    with Explainer(network, rules=[]) as explainer:
        explanation = explainer.explain(IMAGES)
    close(explanation.said[:, 1:], expected)
    if activation:
        close(explanation.probabilities[:, :1], 1 - expected)


def test_keras_with_several_sigmoids():
    """Independent of each other, each the model's own."""
    model = keras_member("sigmoid", 4)
    network = load(model)
    assert (network.head, network.one_output, network.num_classes) == ("sigmoid", False, 4)
    with Explainer(network, rules=[]) as explainer:
        close(explainer.explain(IMAGES).probabilities, model.predict(IMAGES, verbose=0))


def test_classes_of_one_picture_and_guided_backprop(tmp_path):
    network = load(file_of(tmp_path, tf.sigmoid)[0])
    assert slim_models.refusal(network.logits, [network.images]) is None
    with Explainer(network, rules=["guided"]) as explainer:
        assert explainer._fetches._read is not None
        several = explainer.explain_classes(IMAGES[0], [0, 1])
        for target in (0, 1):
            one = explainer.explain(IMAGES[:1], target)
            close(several.saliency["guided"][target], one.saliency["guided"][0])
            close(several.cam()[target], one.cam()[0])


def test_a_live_graph(tmp_path):
    """Its own values, and its prediction beside ours in one session."""
    graph = tf.Graph()
    with graph.as_default(), tf.Session() as session:
        images = tf.placeholder(tf.float32, [None, 32, 32, 3])
        bias = tf.get_variable("bias", [1], initializer=tf.constant_initializer(0.7))
        said = tf.sigmoid(classifier(images / 255, classes=1)[1] + bias)
        session.run(bias.initializer)
        with Explainer(load(session), rules=[]) as explainer:
            close(explainer.explain(IMAGES).probabilities[:, 1:], session.run(said, {images: IMAGES}))


def test_frozen_from_variables(tmp_path):
    model = keras_member("sigmoid")
    network = load(model)
    with Explainer(network, rules=[]) as explainer:
        z = network.logits
        with network.graph.as_default():
            said = tf.sigmoid(z[:, 1:], name="said")
        graph_def = frozen(network, explainer.session, said)
    again = load(write_pb(tmp_path / "again.pb", graph_def))
    with Explainer(again, rules=[]) as explainer:
        close(explainer.explain(IMAGES).probabilities[:, 1:], model.predict(IMAGES, verbose=0))


@pytest.mark.parametrize("classes", [1, 7])
def test_a_gate_within_is_no_head(classes, tmp_path):
    """Squeeze and excitation ends in a sigmoid of `[N, K]`; the last, linear layer is what the network says."""
    with tf.Graph().as_default() as graph:
        images = tf.placeholder(tf.float32, [None, 32, 32, 3], name="input")
        net = tf.nn.relu(tf.nn.conv2d(images, constant([3, 3, 3, 8]), 2, "SAME"))
        gate = tf.sigmoid(tf.matmul(tf.reduce_mean(net, [1, 2]), constant([8, 8], 5)))
        net = tf.nn.relu(tf.nn.conv2d(net * gate[:, None, None], constant([3, 3, 8, 8], 6), 2, "SAME"))
        tf.matmul(tf.reduce_mean(net, [1, 2]), constant([8, classes], 7), name="end")
    lines = []
    network = load(write_pb(tmp_path / "net.pb", graph.as_graph_def()), say=lines.append)
    assert any(line.startswith("logits: end:0") for line in lines)
    assert network.head == ("linear" if classes == 1 else "softmax")


class TestTheCommandLine:
    def run(self, folder, end, *flags):
        path, _ = file_of(folder, end)
        flags = ["--network", str(path), "--preprocessing", "none", "--out", str(folder / "out"), *flags]
        assert main(["explain", "sample:coffee", *flags]) == 0
        return sorted(file.name for file in (folder / "out").glob(f"coffee.*.{path.stem}.npz"))

    def test_one_sigmoid(self, tmp_path, capsys):
        names = tmp_path / "names.txt"
        names.write_text("cat\ndog\n")
        files = self.run(tmp_path, tf.sigmoid, "--labels", str(names), "--target", "cat", "--target", "dog")
        assert [file.split(".")[1] for file in files] == ["cat", "dog"]
        printed, told = capsys.readouterr()
        rows = [line.split() for line in printed.splitlines() if "%" in line]
        assert sorted(row[2] for row in rows) == ["cat", "dog"]
        assert sum(float(row[0].rstrip("%")) for row in rows) == pytest.approx(100, abs=0.02)
        assert "head: sigmoid (found: what the graph makes of its one logit" in told

    def test_a_number(self, tmp_path, capsys):
        files = self.run(tmp_path, lambda z: 10 * z - 300, "--target", "lower", "--target", "higher")
        assert [file.split(".")[1] for file in files] == ["higher", "lower"]
        printed = capsys.readouterr().out
        with np.load(tmp_path / "out" / files[0]) as arrays:
            value = arrays["logits"][1]
            assert "probabilities" not in arrays.files
        assert f"{value:9.4g}  explained: lower, higher" in printed
        assert value < 0 and f"{-value:.4g}" not in printed.replace(f"{value:.4g}", "")
        assert "%" not in printed

    def test_titles_of_figures(self, tmp_path):
        for end, title in ((lambda z: z * 0 + 3, "lower (3)"), (lambda z: tf.sigmoid(z * 0), "class 0 (50.0%)")):
            with Explainer(load(file_of(tmp_path, end)[0]), rules=[]) as explainer:
                assert row_title(explainer, explainer.predict(IMAGES)[0], 0) == title
