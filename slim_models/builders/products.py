"""1x1 convolutions as products of matrices, where oneDNN is quicker with them."""

from __future__ import annotations

import math
from collections.abc import Callable

import tensorflow.compat.v1 as tf

_FEW_PLACES = 7 * 7  # of 14 x 14, convolutions of batches are quicker than products

Map = Callable[[tf.Tensor], tf.Tensor] | None


def are_few(inputs: tf.Tensor) -> bool:
    """Whether inputs have so few places that a product is quicker: in bfloat16, and backward in float32."""
    return (inputs.shape[1:3].num_elements() or math.inf) <= _FEW_PLACES


def product(inputs: tf.Tensor, depth: int, scope: str, activation: Map, normalizer: Map) -> tf.Tensor:
    """A 1x1 convolution as a product of matrices, with the variables of the convolution.

    oneDNN brings the weights of a convolution into an order of its own in every run, which in bfloat16 takes longer
    than to multiply a few places by them; products take them as they are.
    """
    _, height, width, channels = inputs.shape.as_list()
    with tf.variable_scope(scope):
        initializer = tf.variance_scaling_initializer(2.0, distribution="truncated_normal")  # as slim's
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
