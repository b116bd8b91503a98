"""ResNet-v1 (He et al. 2016) as TF-Slim trained it; variables named as in slim's checkpoints."""

from __future__ import annotations

import functools
from collections.abc import Sequence

import tensorflow.compat.v1 as tf

from slim_models.builders import layers, preprocessing

# Bottleneck depth of each block and the stride of its last unit. In slim's networks (unlike the
# paper's) the stride sits on the last unit; the unit's output is four times as deep as its bottleneck.
_BLOCKS = ((64, 2), (128, 2), (256, 2), (512, 1))


def resnet_v1(
    images: tf.Tensor,
    *,
    units: Sequence[int],
    scope: str,
    num_classes: int,
    width_divisor: int = 1,
    output_stride: int = 32,
    precision: str = "float32",
    batch_norm: bool = True,
    training: bool = False,
) -> tuple[tf.Tensor, dict[str, tf.Tensor]]:
    """Builds a ResNet-v1 with bottleneck units in the current graph.

    Args:
        images: `[N, H, W, 3]`, RGB in [0, 255].
        units: number of units of the four blocks: (3, 4, 6, 3) for ResNet-50.
        scope: first part of every variable's name.
        num_classes: C.
        width_divisor: divides every hidden channel count.
        output_stride: stride of `block4` against the image: 32, or 16 or 8 where strides of the last
            blocks are replaced by dilation.
        precision: of the convolutions' weights and biases and the endpoints; what follows the endpoints, and
            batch norm's parameters, are float32 in any.
        batch_norm: False leaves each convolution biases in its place, for weights that it is folded into.
        training: batch norm by the statistics of the batch.

    Returns:
        logits `[N, C]` and the endpoints `conv1`, `pool1`, `block1/unit_1`, ..., `block4`.
    """
    normalizer = functools.partial(layers.batch_norm, training=training) if batch_norm else None
    endpoints = {}
    with tf.variable_scope(scope):
        net = tf.cast(preprocessing.subtract_mean(images), precision)
        net = layers.conv2d(net, 64 // width_divisor, 7, stride=2, normalizer=normalizer, scope="conv1")
        endpoints["conv1"] = net
        net = endpoints["pool1"] = layers.max_pool2d(net, 3, 2, scope="pool1")
        reached, rate = 4, 1
        for number, (count, (depth, last_stride)) in enumerate(zip(units, _BLOCKS), start=1):
            for unit in range(1, count + 1):
                stride = last_stride if unit == count else 1
                # Past the output stride a stride becomes a dilation of all later kernels.
                dilate = stride > 1 and reached >= output_stride
                name = f"block{number}/unit_{unit}"
                with tf.variable_scope(f"{name}/bottleneck_v1"):
                    net = _bottleneck(net, depth // width_divisor, 1 if dilate else stride, rate, normalizer)
                endpoints[name] = net
                reached, rate = (reached, rate * stride) if dilate else (reached * stride, rate)
            endpoints[f"block{number}"] = net
        net = tf.reduce_mean(tf.cast(net, tf.float32), [1, 2], keepdims=True, name="pool5")
        logits = layers.conv2d(net, num_classes, 1, activation=None, scope="logits")
        return tf.squeeze(logits, [1, 2], name="squeezed_logits"), endpoints


def _bottleneck(inputs: tf.Tensor, depth: int, stride: int, rate: int, normalizer: layers.Normalizer) -> tf.Tensor:
    """`[N, h, w, K]` -> `[N, h / stride, w / stride, 4 * depth]`: 1x1, 3x3, 1x1 and the shortcut."""
    if inputs.shape[-1] == 4 * depth:
        shortcut = inputs if stride == 1 else layers.max_pool2d(inputs, 1, stride, scope="shortcut")
    else:
        shortcut = layers.conv2d(
            inputs, 4 * depth, 1, stride=stride, activation=None, normalizer=normalizer, scope="shortcut"
        )
    net = layers.conv2d(inputs, depth, 1, normalizer=normalizer, scope="conv1")
    net = layers.conv2d(net, depth, 3, stride=stride, rate=rate, normalizer=normalizer, scope="conv2")
    net = layers.conv2d(net, 4 * depth, 1, activation=None, normalizer=normalizer, scope="conv3")
    return tf.nn.relu(shortcut + net)


resnet_v1_50 = functools.partial(resnet_v1, units=(3, 4, 6, 3), scope="resnet_v1_50")
resnet_v1_101 = functools.partial(resnet_v1, units=(3, 4, 23, 3), scope="resnet_v1_101")
