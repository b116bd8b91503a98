"""The layers that the builders share, on tf_slim's; the only module that imports tf_slim."""

from __future__ import annotations

import math
from collections.abc import Callable

import tensorflow.compat.v1 as tf
import tf_slim as slim

from slim_models.batch_norm_gradient import stored_batch_norm

EPSILON = 1.001e-5  # added to the variances of batch norm; TensorFlow's fused operation takes no less
_FEW_PLACES = 7 * 7  # of 14 x 14, convolutions of batches are quicker than products

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
    activation: Activation = tf.nn.relu,
    normalizer: Normalizer = None,
) -> tf.Tensor:
    """A convolution with `SAME` output size whose padding does not depend on the image's size.

    With a stride, TensorFlow's own `SAME` pads even and odd sizes differently; slim's ResNets (and
    Caffe) pad `(kernel_size - 1) / 2` on every side instead, and so does this.

    Args:
        inputs: `[N, h, w, K]`.
        depth: number of output channels.
        kernel_size: height and width of the kernel.
        scope: name of the layer; its variables are `scope/weights` and `scope/biases`, or those of
            the normalizer in place of the biases.
        stride: step of the kernel.
        rate: dilation of the kernel.
        activation: applied to the result, or None.
        normalizer: applied before the activation, or None for a bias.

    Returns:
        `[N, ceil(h / stride), ceil(w / stride), depth]`.
    """
    if inputs.dtype == tf.bfloat16 and kernel_size == stride == 1 and _places(inputs) <= _FEW_PLACES:
        return _product(inputs, depth, scope, activation, normalizer)
    padding = "SAME"
    if stride > 1 and kernel_size > 1:
        before = (kernel_size + (kernel_size - 1) * (rate - 1) - 1) // 2
        inputs = tf.pad(inputs, [[0, 0], [before, before], [before, before], [0, 0]])
        padding = "VALID"
    return slim.conv2d(
        inputs,
        depth,
        kernel_size,
        stride=stride,
        rate=rate,
        padding=padding,
        activation_fn=activation,
        normalizer_fn=normalizer,
        weights_initializer=slim.variance_scaling_initializer(),
        scope=scope,
    )


def _product(inputs: tf.Tensor, depth: int, scope: str, activation: Activation, normalizer: Normalizer) -> tf.Tensor:
    """A 1x1 convolution as a product of matrices, with the variables of the convolution.

    oneDNN brings the weights of a convolution into an order of its own in every run, which in bfloat16 takes longer
    than to multiply a few places by them; products take them as they are.
    """
    _, height, width, channels = inputs.shape.as_list()
    with tf.variable_scope(scope):
        initializer = slim.variance_scaling_initializer()
        weights = tf.get_variable("weights", [1, 1, channels, depth], inputs.dtype, initializer)
        # N stays the first axis, as `shared_forward` wants it.
        places = tf.reshape(inputs, [-1, height * width, channels])
        outputs = tf.matmul(places, tf.reshape(weights, [1, channels, depth]))
        outputs = tf.reshape(outputs, [-1, height, width, depth])
        if normalizer is None:
            biases = tf.get_variable("biases", [depth], inputs.dtype, tf.zeros_initializer())
            outputs = tf.nn.bias_add(outputs, biases)
        else:
            outputs = normalizer(outputs)
        return outputs if activation is None else activation(outputs)


def _places(inputs: tf.Tensor) -> float:
    """Height times width; infinite if they are not known."""
    return inputs.shape[1:3].num_elements() or math.inf


def max_pool2d(inputs: tf.Tensor, kernel_size: int, stride: int, *, scope: str) -> tf.Tensor:
    """Max pooling whose output size is rounded up, as in Caffe."""
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


def batch_norm(inputs: tf.Tensor, *, training: bool = False, decay: float = 0.98) -> tf.Tensor:
    """Batch normalisation with slim's variable names and, unless training, the stored statistics.

    `slim.batch_norm` itself fails on TensorFlow newer than 2.13, and its callers have been known to
    leave it in training mode, where a prediction depends on the other images of the batch.

    Args:
        inputs: `[N, h, w, K]` or `[N, K]`.
        training: normalise by the batch and add the updates of the stored statistics to the
            collection `UPDATE_OPS`.
        decay: of the stored statistics, while training.

    Returns:
        A tensor of the shape of `inputs`.
    """
    if inputs.shape.ndims == 2:  # fused_batch_norm takes images
        images = batch_norm(inputs[:, None, None], training=training, decay=decay)
        return tf.squeeze(images, [1, 2])
    with tf.variable_scope("BatchNorm"):
        shape = inputs.shape[-1:]
        beta = tf.get_variable("beta", shape, initializer=tf.zeros_initializer())
        gamma = tf.get_variable("gamma", shape, initializer=tf.ones_initializer())
        mean = tf.get_variable("moving_mean", shape, initializer=tf.zeros_initializer(), trainable=False)
        variance = tf.get_variable("moving_variance", shape, initializer=tf.ones_initializer(), trainable=False)
        if not training:
            with stored_batch_norm(inputs.graph):
                return tf.nn.fused_batch_norm(inputs, gamma, beta, mean, variance, epsilon=EPSILON, is_training=False)[
                    0
                ]
        outputs, batch_mean, batch_variance = tf.nn.fused_batch_norm(inputs, gamma, beta, epsilon=EPSILON)
        for stored, batch in ((mean, batch_mean), (variance, batch_variance)):
            tf.add_to_collection(tf.GraphKeys.UPDATE_OPS, stored.assign_sub((1 - decay) * (stored - batch)))
        return outputs
