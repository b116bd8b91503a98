"""The layers that the builders share, on tf_slim's; the only module that imports tf_slim."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import tensorflow.compat.v1 as tf
import tf_slim as slim

from slim_models.builders import fast_layers
from slim_models.builders.fast_layers import are_few, finished, kernel, product
from slim_models.weights import EPSILON

Activation = Callable[[tf.Tensor], tf.Tensor] | None
Normalizer = Callable[[tf.Tensor], tf.Tensor] | None


def conv2d(
    inputs: tf.Tensor,
    depth: int,
    kernel_size: int,
    *,
    scope: str,
    stride: int = 1,
    rate: int = 1,
    symmetric: bool = True,
    activation: Activation = tf.nn.relu,
    normalizer: Normalizer = None,
) -> tf.Tensor:
    """A convolution with `SAME` output size whose padding does not depend on the image's size.

    With a stride, TensorFlow's own `SAME` pads even and odd sizes differently; slim's ResNets (and
    Caffe) pad `(kernel_size - 1) / 2` on every side instead, and so does this unless told otherwise.

    Args:
        inputs: `[N, h, w, K]`.
        depth: number of output channels.
        kernel_size: height and width of the kernel.
        scope: name of the layer; its variables are `scope/weights` and `scope/biases`, or those of
            the normalizer in place of the biases.
        stride: step of the kernel.
        rate: dilation of the kernel.
        symmetric: False pads as TensorFlow does, with which slim's MobileNets were trained.
        activation: applied to the result, or None.
        normalizer: applied before the activation, or None for a bias.

    Returns:
        `[N, ceil(h / stride), ceil(w / stride), depth]`.
    """
    if kernel_size == stride == 1 and inputs.dtype == tf.bfloat16 and are_few(inputs):
        return product(inputs, depth, scope, activation, normalizer)
    padding = "SAME"
    if symmetric and stride > 1 and kernel_size > 1:
        before = (kernel_size + (kernel_size - 1) * (rate - 1) - 1) // 2
        inputs = tf.pad(inputs, [[0, 0], [before, before], [before, before], [0, 0]])
        padding = "VALID"
    # slim's own goes through a layer of Keras', which takes as long again and more with every variable there is.
    with tf.variable_scope(scope):
        weights = kernel([kernel_size, kernel_size, inputs.shape[3], depth], inputs.dtype)
        with fast_layers.convolution(inputs, kernel_size, stride, padding):
            outputs = tf.nn.convolution(inputs, weights, padding, [stride] * 2, [rate] * 2, name="Conv2D")
        return finished(outputs, normalizer, activation)


def depthwise_conv2d(
    inputs: tf.Tensor,
    kernel_size: int,
    *,
    scope: str,
    stride: int = 1,
    activation: Activation = tf.nn.relu,
    normalizer: Normalizer = None,
) -> tf.Tensor:
    """A kernel for each channel, `scope/depthwise_weights` `[k, k, K, 1]`; pads as TensorFlow's `SAME` does.

    `[N, h, w, K]` -> `[N, ceil(h / stride), ceil(w / stride), K]`; the other arguments are `conv2d`'s.
    """
    return slim.separable_conv2d(
        inputs,
        None,  # no pointwise convolution behind it
        kernel_size,
        depth_multiplier=1,
        stride=stride,
        activation_fn=activation,
        normalizer_fn=normalizer,
        weights_initializer=tf.truncated_normal_initializer(stddev=2**0.5 / kernel_size),  # each sees k * k numbers
        scope=scope,
    )


def max_pool2d(
    inputs: tf.Tensor, kernel_size: int, stride: int, *, scope: str, padding: Sequence[tuple[int, int]] | None = None
) -> tf.Tensor:
    """Max pooling; its output size is rounded up, unless it is told how far windows go beyond the maps.

    `padding`: above and below, left and right; no maximum is ever found there.
    """
    if padding is not None:
        return tf.nn.max_pool2d(inputs, kernel_size, stride, [(0, 0), *padding, (0, 0)], name=scope)
    return slim.max_pool2d(inputs, kernel_size, stride, padding="SAME", scope=scope)


def fully_connected(
    inputs: tf.Tensor,
    depth: int,
    *,
    scope: str,
    activation: Activation = tf.nn.relu,
    normalizer: Normalizer = None,
) -> tf.Tensor:
    """`[N, K]` -> `[N, depth]`; variables `scope/weights` `[K, depth]` and `scope/biases` (or the normalizer's)."""
    with fast_layers.fully_connected(inputs.graph):
        return slim.fully_connected(
            inputs,
            depth,
            activation_fn=activation,
            normalizer_fn=normalizer,
            weights_initializer=slim.variance_scaling_initializer(),
            scope=scope,
        )


def flatten(inputs: tf.Tensor) -> tf.Tensor:
    """`[N, h, w, K]` -> `[N, h * w * K]`, in the order height, width, channel."""
    return slim.flatten(inputs)


def hide_places(inputs: tf.Tensor, most: tf.Tensor) -> tf.Tensor:
    """Zero at random places, and so much more at the others that each picture's sum stays on the average.

    After Hide-and-Seek (Singh & Lee 2017, arXiv 1704.04232), but of activations and with a share drawn anew for each
    picture: a class is to be known by any part of its object.

    Args:
        inputs: `[N, h, w, K]`.
        most: the highest share of hidden places, in [0, 1); a picture's is drawn uniformly below it.
    """
    pictures, height, width = tf.unstack(tf.shape(inputs)[:3])
    share = most * tf.random_uniform([pictures, 1, 1, 1])
    seen = tf.cast(tf.random_uniform([pictures, height, width, 1]) >= share, inputs.dtype)
    # Where everything is hidden there is nothing to enlarge.
    least = 1 / tf.cast(height * width, inputs.dtype)
    return inputs * seen / tf.maximum(tf.reduce_mean(seen, [1, 2], keepdims=True), least)


def batch_norm(
    inputs: tf.Tensor, *, training: bool = False, decay: float = 0.98, epsilon: float = EPSILON
) -> tf.Tensor:
    """Batch normalisation with slim's variable names and, unless training, the stored statistics.

    `slim.batch_norm` itself fails on TensorFlow newer than 2.13, and its callers have been known to
    leave it in training mode, where a prediction depends on the other images of the batch.

    Args:
        inputs: `[N, h, w, K]` or `[N, K]`.
        training: normalise by the batch and add the updates of the stored statistics to the
            collection `UPDATE_OPS`.
        decay: of the stored statistics, while training.
        epsilon: added to the variances.

    Returns:
        A tensor of the shape of `inputs`.
    """
    if inputs.shape.ndims == 2:  # fused_batch_norm takes images
        images = batch_norm(inputs[:, None, None], training=training, decay=decay, epsilon=epsilon)
        return tf.squeeze(images, [1, 2])
    with tf.variable_scope("BatchNorm"):
        shape = inputs.shape[-1:]
        beta = tf.get_variable("beta", shape, initializer=tf.zeros_initializer())
        gamma = tf.get_variable("gamma", shape, initializer=tf.ones_initializer())
        mean = tf.get_variable("moving_mean", shape, initializer=tf.zeros_initializer(), trainable=False)
        variance = tf.get_variable("moving_variance", shape, initializer=tf.ones_initializer(), trainable=False)
        if not training:
            with fast_layers.stored_batch_norm(inputs.graph):
                statistics = {"mean": mean, "variance": variance, "is_training": False}
                return tf.nn.fused_batch_norm(inputs, gamma, beta, **statistics, epsilon=epsilon)[0]
        outputs, batch_mean, batch_variance = tf.nn.fused_batch_norm(inputs, gamma, beta, epsilon=epsilon)
        for stored, batch in ((mean, batch_mean), (variance, batch_variance)):
            tf.add_to_collection(tf.GraphKeys.UPDATE_OPS, stored.assign_sub((1 - decay) * (stored - batch)))
        return outputs
