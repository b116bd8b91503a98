"""Grad-CAM's numbers beside those of the graph or model as it was, differentiated by TensorFlow itself."""

import numpy as np
import tensorflow
import tensorflow.compat.v1 as tf

from gradcam.explainer import Explainer

IMAGES = np.random.default_rng(0).uniform(0, 255, (3, 32, 32, 3)).astype(np.float32)
TARGET = 2


def by_graph(logits, activations, images):
    """What the current graph gives, in a session of its own: logits, activations, d logits[:, 2] / d activations."""
    gradient = tf.gradients(logits[:, TARGET], activations)[0]
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        return session.run([logits, activations, gradient], {images: IMAGES})


def by_tape(model, layer):
    """The same of a Keras model, and a layer of it by name."""
    both = tensorflow.keras.Model(model.input, [model.get_layer(layer).output, model.output])
    with tensorflow.GradientTape() as tape:
        activations, logits = both(IMAGES, training=False)
        total = tensorflow.reduce_sum(logits[:, TARGET])
    return [array.numpy() for array in (logits, activations, tape.gradient(total, activations))]


def close(found, expected, tolerance=1e-5):
    np.testing.assert_allclose(found, expected, rtol=tolerance, atol=tolerance * np.abs(expected).max())


def agrees(network, expected, tolerance=1e-4):
    """A network's default layer is explained as `by_graph` or `by_tape` says; of two classes in one go too."""
    layer = network.default_layer
    with Explainer(network, rules=()) as explainer:
        found = explainer.explain(IMAGES, TARGET)
        several = explainer.explain_classes(IMAGES[0], [1, TARGET])
    logits, activations, gradient = expected
    assert np.abs(gradient).max() > 0
    close(found.logits, logits, tolerance / 10)
    close(found.activations[layer], activations, tolerance / 10)
    close(found.gradients[layer], gradient, tolerance)
    close(several.gradients[layer][1], gradient[0], tolerance)
