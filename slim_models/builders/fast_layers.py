"""Gradients of layers: the same numbers as TensorFlow's own, in less time.

Importing this module registers the gradients `StoredBatchNorm`, `FullyConnected`, `PointwiseConvolution` and
`ColourConvolution`; a layer that is added to a graph in the context of the function named like it gets that gradient.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable

import tensorflow.compat.v1 as tf

_FEW_ROWS = 3  # of so many, TensorFlow's own product reads the weights no slower than memory gives them
_FEW_PLACES = 7 * 7  # of 14 x 14, convolutions of batches are quicker than products
Map = Callable[[tf.Tensor], tf.Tensor] | None


@tf.RegisterGradient("StoredBatchNorm")
def _stored_batch_norm(op: tf.Operation, signal: tf.Tensor, *_: tf.Tensor) -> tuple[tf.Tensor | None, ...]:
    """Of `(inputs - mean) / sqrt(variance + epsilon) * gamma + beta`, with constant mean and variance.

    TensorFlow's own gradient of the fused operation reads the inputs again and sums over the batch for the
    gradients of gamma and beta whether or not anyone asks, which is a third of a ResNet's backward pass.
    """
    inputs, gamma, _, mean, variance = op.inputs
    deviation = tf.rsqrt(variance + op.get_attr("epsilon"))
    to_inputs = signal * tf.cast(gamma * deviation, signal.dtype)
    signal, inputs = tf.cast(signal, mean.dtype), tf.cast(inputs, mean.dtype)
    # Operations of which nothing is fetched are not run.
    to_gamma = tf.reduce_sum(signal * (inputs - mean), [0, 1, 2]) * deviation
    return to_inputs, to_gamma, tf.reduce_sum(signal, [0, 1, 2]), None, None


def stored_batch_norm(graph: tf.Graph) -> contextlib.AbstractContextManager[None]:
    """For fused batch norm, NHWC, not training."""
    return graph.gradient_override_map({"FusedBatchNormV3": "StoredBatchNorm"})


@tf.RegisterGradient("FullyConnected")
def _fully_connected(op: tf.Operation, signal: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Of `inputs @ weights`, `[N, K]` by `[K, M]`.

    `signal @ weightsᵀ` is fast for three rows, and slow beyond in float32: VGG16's fc6 takes it 14 ms for one row,
    50 for 8 and 175 for 16, where `(weights @ signalᵀ)ᵀ`, as a product of batches, takes 22, 26 and 26.
    """
    inputs, weights = op.inputs
    return _times_transposed(signal, weights), tf.matmul(inputs, signal, transpose_a=True)


def _times_transposed(signal: tf.Tensor, weights: tf.Tensor) -> tf.Tensor:
    def of_few(signal: tf.Tensor, weights: tf.Tensor) -> tf.Tensor:
        return tf.matmul(signal, weights, transpose_b=True)

    def of_many(signal: tf.Tensor, weights: tf.Tensor) -> tf.Tensor:
        return tf.transpose(tf.matmul(weights[None], signal[None], transpose_b=True)[0])

    @tf.custom_gradient
    def either(*of: tf.Tensor) -> tuple[tf.Tensor, Callable]:
        # TensorFlow differentiates a condition by changing it, which a session that has run it does not take.
        def back(again: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            return tf.matmul(again, of[1]), tf.matmul(again, of[0], transpose_a=True)

        return tf.cond(tf.shape(of[0])[0] <= _FEW_ROWS, lambda: of_few(*of), lambda: of_many(*of)), back

    return either(signal, weights) if signal.dtype == tf.float32 else of_few(signal, weights)


def fully_connected(graph: tf.Graph) -> contextlib.AbstractContextManager[None]:
    """For products of `[N, K]` with weights `[K, M]`."""
    return graph.gradient_override_map({"MatMul": "FullyConnected"})


@tf.RegisterGradient("PointwiseConvolution")
def _pointwise_convolution(op: tf.Operation, signal: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Of a 1x1 convolution without a stride, as a product of matrices.

    oneDNN brings the weights of a backward convolution into an order of its own in every run, which takes longer
    than to multiply few places by them; a product takes them as they are.
    """
    inputs, weights = op.inputs
    _, height, width, channels = inputs.shape.as_list()
    places = tf.reshape(signal, [-1, height * width, signal.shape[3]])
    to_inputs = tf.reshape(tf.matmul(places, weights[0], transpose_b=True), [-1, height, width, channels])
    return to_inputs, _to_kernel(op, signal)


def pointwise_convolution(graph: tf.Graph) -> contextlib.AbstractContextManager[None]:
    """For 1x1 convolutions, NHWC, without a stride, of few places of known number."""
    return graph.gradient_override_map({"Conv2D": "PointwiseConvolution"})


@tf.RegisterGradient("ColourConvolution")
def _colour_convolution(op: tf.Operation, signal: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Of a `VALID` convolution with a stride s, whose inputs have few channels.

        dx[s i + a] = sum over u of signal[i - u] w[s u + a],  0 <= a < s, along either axis

    is one convolution of the signal that gives all s * s pixels of a block at once, as channels: 12 instead of 3,
    of which a processor's registers waste less, and none of the products with zeros that lie between strides.
    """
    inputs, weights = op.inputs
    stride, (height, width) = op.get_attr("strides")[1], inputs.shape[1:3]
    size, _, channels, depth = weights.shape.as_list()
    steps = -(-(size + stride - 1) // stride)  # enough for the pixels behind the last kernel too
    behind = steps * stride - size
    blocks = tf.pad(weights, [[0, behind], [0, behind], [0, 0], [0, 0]])
    blocks = tf.reverse(tf.reshape(blocks, [steps, stride, steps, stride, channels, depth]), [0, 2])
    blocks = tf.reshape(tf.transpose(blocks, [0, 2, 5, 1, 3, 4]), [steps, steps, depth, -1])
    around = [steps - 1, steps - 1]
    to_inputs = tf.nn.conv2d(signal, blocks, 1, [[0, 0], around, around, [0, 0]])
    return tf.nn.depth_to_space(to_inputs, stride)[:, :height, :width], _to_kernel(op, signal)


def _to_kernel(op: tf.Operation, signal: tf.Tensor) -> tf.Tensor:
    """TensorFlow's own gradient of a convolution's weights."""
    inputs, weights = op.inputs
    return tf.nn.conv2d_backprop_filter(
        inputs, weights.shape, signal, op.get_attr("strides"), op.get_attr("padding").decode()
    )


def colour_convolution(graph: tf.Graph) -> contextlib.AbstractContextManager[None]:
    """For `VALID` convolutions, NHWC, with the same stride > 1 along both axes, of few channels."""
    return graph.gradient_override_map({"Conv2D": "ColourConvolution"})


def convolution(
    inputs: tf.Tensor, kernel_size: int, stride: int, padding: str
) -> contextlib.AbstractContextManager[None]:
    """For a convolution of these inputs: whichever of the above is quicker than TensorFlow's own, if one is."""
    if kernel_size == stride == 1 and are_few(inputs):
        return pointwise_convolution(inputs.graph)
    if inputs.shape[3] == 3 and stride > 1 and padding == "VALID" and inputs.shape[1:].is_fully_defined():
        return colour_convolution(inputs.graph)
    return contextlib.nullcontext()


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
