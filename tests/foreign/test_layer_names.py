"""Layers by the names that the user's program gave them: a Keras layer's, or a scope's."""

import numpy as np
import pytest
import tensorflow
import tensorflow.compat.v1 as tf
from foreign import constant, keras_model, load, unmarked, write_pb

import slim_models
from gradcam.explainer import Explainer
from slim_models.mistakes import UnknownName

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # Keras' own, of NumPy
IMAGES = np.random.default_rng(0).uniform(0, 255, (2, 32, 32, 3)).astype(np.float32)


def activations_of(path, layer, images=IMAGES):
    with Explainer(load(path, layer=layer, image_size=32), rules=[]) as explainer:
        explanation = explainer.explain(images)
    return explanation.activations[layer], explanation.cam()


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    model, path = keras_model(), tmp_path_factory.mktemp("keras") / "model.keras"
    model.save(path)
    return model, path


@pytest.mark.parametrize("layer", ["first", "second", "last"])
def test_a_keras_layer(model, layer):
    """A convolution with its activation in it, one without, and the activation behind it; as Keras itself has them."""
    keras, path = model
    until = tensorflow.keras.Model(keras.inputs, keras.get_layer(layer).output)
    found, cam = activations_of(path, layer)
    np.testing.assert_allclose(found, until.predict(IMAGES, verbose=0), rtol=1e-4, atol=1e-3)
    assert cam.shape == found.shape[:3]


def scopes(net):
    for name, seed in (("conv", 0), ("block/stage", 1), ("block/stage", 2), ("last_conv", 3)):
        with tf.name_scope(name):
            net = tf.nn.conv2d(net, constant([3, 3, net.shape[3], 8], seed, 0.1), 1, "SAME")
            net = tf.nn.relu(net + constant([8], seed))
    with tf.name_scope("split"):
        left, right = tf.nn.relu(net), tf.nn.relu(-net)
    logits = tf.matmul(tf.reduce_mean(tf.concat([left, right], 3), [1, 2]), constant([16, 7], 4), name="logits")
    tf.nn.softmax(logits, name="probabilities")


@pytest.fixture(scope="module")
def scoped(tmp_path_factory):
    graph = unmarked(scopes)
    return graph, write_pb(tmp_path_factory.mktemp("scopes") / "scopes.pb", graph.as_graph_def())


@pytest.mark.parametrize(
    ("layer", "tensor"),
    [
        ("last_conv", "last_conv/Relu"),
        ("conv", "conv/Relu"),
        ("stage_1", "block/stage_1/Relu"),
        ("block/stage_1", "block/stage_1/Relu"),
        ("block", "block/stage_1/Relu"),
    ],
)
def test_a_scope_is_what_it_hands_on(scoped, layer, tensor):
    graph, path = scoped
    with tf.Session(graph=graph) as session:
        expected = session.run(f"{tensor}:0", {"input:0": IMAGES})
    np.testing.assert_allclose(activations_of(path, layer)[0], expected, rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize(
    ("layer", "message"),
    [
        ("stage", "layer 'stage' may be any of block/stage/Relu, block/stage_1/Relu: give one of these"),
        ("split", "layer 'split' may be any of split/Relu, split/Relu_1: give one of these"),
        ("last", "there is no layer 'last'; the layers are conv/Relu, "),
        ("last.conv", "there is no layer 'last.conv'; the layers are conv/Relu, "),
    ],
)
def test_several_tensors_or_none(scoped, layer, message):
    """A guess could be a wrong picture without a word."""
    with pytest.raises(UnknownName) as mistake:
        load(scoped[1], layer=layer)
    assert message in str(mistake.value)


def test_tensors_that_are_suggested_are_alike(scoped):
    for name, similar in (("logit", "; similar: logits"), ("Relu", "; similar: conv/Relu, "), ("xyz", "'xyz'")):
        with pytest.raises(UnknownName) as mistake:
            slim_models.load(scoped[1], logits=name, preprocessing="none")
        assert similar in str(mistake.value)
    assert "similar" not in str(mistake.value)
