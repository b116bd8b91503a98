"""SavedModels of TensorFlow 2: what the model itself says is what the network says."""

import numpy as np
import pytest
import tensorflow
import tensorflow.compat.v1 as tf
from foreign import keras_model, load

from slim_models.heads import softmax

IMAGES = np.random.default_rng(0).uniform(0, 255, (2, 32, 32, 3)).astype(np.float32)
KERAS_3 = hasattr(tensorflow.keras, "ops")


def probabilities(network):
    with tf.Session(graph=network.graph) as session:
        network.values.fill(session, network)
        logits = session.run(network.logits, {network.images: IMAGES})
    return softmax(logits)


def exported(model, folder):
    (model.export if KERAS_3 else model.save)(str(folder))


@pytest.mark.parametrize("save", [tensorflow.saved_model.save, exported])
def test_a_keras_model(save, tmp_path):
    """`tf.saved_model.save` of Keras 3 writes every variable twice, and restores the one that no layer reads."""
    model = keras_model()
    save(model, tmp_path / "saved")
    found = probabilities(load(tmp_path / "saved", preprocessing="none"))
    np.testing.assert_allclose(found, np.asarray(model(IMAGES, training=False)), atol=1e-6)


def test_a_variable_that_begins_as_another_s_value_keeps_its_own(tmp_path):
    """Both are restored: the second was only initialized from the first."""
    with tf.Graph().as_default(), tf.Session() as session:
        images = tf.placeholder(tf.float32, [None, 32, 32, 3], name="input")
        first = tf.Variable(np.float32([1, 2, 3, 4]), use_resource=True, name="first")
        second = tf.Variable(first.read_value(), use_resource=True, name="second")
        net = tf.nn.relu(tf.nn.conv2d(images / 255, np.full((3, 3, 3, 4), 0.1, np.float32), 2, "SAME") - first)
        outputs = tf.identity(tf.reduce_mean(net, [1, 2]) + second, name="output")
        session.run(first.initializer)
        session.run(second.initializer)
        session.run(second.assign([10.0, 20, 30, 40]))
        session.run(first.assign([0.1, 0.2, 0.3, 0.4]))
        expected = session.run(outputs, {images: IMAGES})
        tf.saved_model.simple_save(session, str(tmp_path / "saved"), {"input": images}, {"output": outputs})
    network = load(tmp_path / "saved", preprocessing="none")
    with tf.Session(graph=network.graph) as session:
        network.values.fill(session, network)
        found = session.run(network.logits, {network.images: IMAGES})
    np.testing.assert_allclose(found, expected, rtol=1e-5)


class _WithConstants(tensorflow.Module):
    """Its kernels are constants within its functions, not variables."""

    @tensorflow.function(input_signature=[tensorflow.TensorSpec([None, 32, 32, 3], tensorflow.float32)])
    def __call__(self, images):
        return {"probabilities": tensorflow.nn.softmax(self.head(tensorflow.nn.relu(self.convolution(images))))}

    @tensorflow.function
    def convolution(self, images):
        kernel = np.random.default_rng(1).normal(0, 0.2, (3, 3, 3, 40)).astype(np.float32)
        return tensorflow.nn.conv2d(images / 255.0, tensorflow.constant(kernel), 2, "SAME")

    @tensorflow.function
    def head(self, net):
        weights = np.random.default_rng(2).normal(0, 1, (40, 7)).astype(np.float32)
        return tensorflow.matmul(tensorflow.reduce_mean(net, [1, 2]), tensorflow.constant(weights))


def test_constants_of_any_size_within_functions(tmp_path):
    module = _WithConstants()
    tensorflow.saved_model.save(module, str(tmp_path / "saved"))
    found = probabilities(load(tmp_path / "saved", preprocessing="none"))
    np.testing.assert_allclose(found, module(IMAGES)["probabilities"].numpy(), atol=1e-6)
