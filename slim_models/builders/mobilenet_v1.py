"""MobileNet-v1 (Howard et al. 2017) as TF-Slim trained it; variables named as in slim's checkpoints."""

from __future__ import annotations

import functools

import tensorflow.compat.v1 as tf

from slim_models.builders import layers, preprocessing

_SCOPE = "MobilenetV1"
_EPSILON = 1e-3  # of its batch norm
_FIRST_DEPTH = 32
# Depth of each pointwise convolution, and stride of the depthwise one before it (table 1 of the paper).
_PAIRS = ((64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2), *[(512, 1)] * 5, (1024, 2), (1024, 1))


def mobilenet_v1(
    images: tf.Tensor, *, num_classes: int, width_divisor: int = 1, precision: str = "float32", training: bool = False
) -> tuple[tf.Tensor, dict[str, tf.Tensor]]:
    """Builds MobileNet-v1 in the current graph.

    Args:
        images: `[N, H, W, 3]`, RGB in [0, 255].
        num_classes: C; slim's have 1001, 0 being the background.
        width_divisor: divides every hidden channel count; 1, 2 and 4 are the paper's width multipliers 1, 0.5, 0.25.
        precision: of the convolutions' weights and the endpoints; what follows the endpoints, and batch
            norm's parameters, are float32 in any.
        training: batch norm by the statistics of the batch.

    Returns:
        logits `[N, C]` and the endpoints `Conv2d_0`, `Conv2d_1_depthwise`, `Conv2d_1_pointwise`, ...,
        `Conv2d_13_pointwise`, each in [0, 6].
    """
    normalizer = functools.partial(layers.batch_norm, training=training, epsilon=_EPSILON)
    options = {"activation": tf.nn.relu6, "normalizer": normalizer}
    endpoints = {}
    with tf.variable_scope(_SCOPE):
        net = tf.cast(preprocessing.minus_one_to_one(images), precision)
        depth = _FIRST_DEPTH // width_divisor
        net = layers.conv2d(net, depth, 3, stride=2, symmetric=False, scope="Conv2d_0", **options)
        endpoints["Conv2d_0"] = net
        for number, (depth, stride) in enumerate(_PAIRS, start=1):
            name = f"Conv2d_{number}_depthwise"
            net = endpoints[name] = layers.depthwise_conv2d(net, 3, stride=stride, scope=name, **options)
            name = f"Conv2d_{number}_pointwise"
            net = endpoints[name] = layers.conv2d(net, depth // width_divisor, 1, scope=name, **options)
        with tf.variable_scope("Logits"):
            net = tf.reduce_mean(tf.cast(net, tf.float32), [1, 2], keepdims=True, name="AvgPool_1a")
            logits = layers.conv2d(net, num_classes, 1, activation=None, scope="Conv2d_1c_1x1")
        return tf.squeeze(logits, [1, 2], name="squeezed_logits"), endpoints
