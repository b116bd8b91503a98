"""Networks as other people's programs leave them, written by TensorFlow itself."""

import numpy as np
import tensorflow
import tensorflow.compat.v1 as tf

import slim_models


def frozen(network, session, *outputs):
    """A network's graph with its variables as constants."""
    names = [tensor.op.name for tensor in outputs]
    return tf.graph_util.convert_variables_to_constants(session, network.graph.as_graph_def(), names)


def write_pb(path, graph_def):
    path.write_bytes(graph_def.SerializeToString())
    return path


def unmarked(build):
    """A graph as a program without this project builds it: `build(images) -> tensors`, its ReLUs without marks."""
    graph = tf.Graph()
    with graph.as_default():
        images = tf.placeholder(tf.float32, [None, None, None, 3], name="input")
        build(images)
    return graph


def write_saved_model(path, session, images, outputs):
    """A SavedModel of TensorFlow 1 with one signature; `outputs` is name -> tensor."""
    with session.graph.as_default():
        tf.saved_model.simple_save(session, str(path), {"images": images}, outputs)
    return path


def keras_model(activation="relu", size=32, softmax=True):
    """A small classifier of seven classes with random weights and statistics, as Keras builds it."""
    layers = tensorflow.keras.layers
    tensorflow.keras.utils.set_random_seed(0)
    images = layers.Input((size, size, 3))
    net = layers.Conv2D(8, 3, strides=2, padding="same", activation=activation, name="first")(images)
    net = layers.BatchNormalization(
        gamma_initializer="random_normal", beta_initializer="random_normal", moving_mean_initializer="random_normal"
    )(net)
    net = layers.Conv2D(12, 3, padding="same", name="second")(net)
    net = layers.Activation(activation, name="last")(net)
    net = layers.Dropout(0.5)(layers.GlobalAveragePooling2D()(net))
    outputs = layers.Dense(7, activation="softmax" if softmax else None, name="head")(net)
    return tensorflow.keras.Model(images, outputs)


def constant(shape, seed=0, scale=0.3):
    """Random numbers, the same for the same seed."""
    return tf.constant(np.random.default_rng(seed).normal(0, scale, shape), tf.float32)


def classifier(net, relu=tf.nn.relu, classes=7):
    """Two convolutions, average pooling and a softmax on `[N, H, W, 3]`, of constants: (activations, logits)."""
    net = relu(tf.nn.conv2d(net, constant([3, 3, 3, 8]), 2, "SAME") + constant([8], 1))
    activations = relu(tf.nn.conv2d(net, constant([3, 3, 8, 12], 2), 1, "SAME") + constant([12], 3))
    activations = tf.identity(activations, name="activations")
    logits = tf.matmul(tf.reduce_mean(activations, [1, 2]), constant([12, classes], 4), name="logits")
    tf.nn.softmax(logits, name="probabilities")
    return activations, logits


def load(path, **options):
    """`slim_models.load` of what takes RGB in [0, 255]."""
    return slim_models.load(path, **{"preprocessing": "none", **options})
