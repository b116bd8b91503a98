"""EfficientNet-Lite (Google 2020; Tan & Le 2019 without squeeze-and-excite, and with ReLU6), as data.

Variables are `efficientnet_lite0/` and `conv_stem/`, `block_0/depthwise/`, `block_0/project/`, `block_1/expand/`,
..., `conv_head/`, each with `weights` (`depthwise_weights`) and `BatchNorm/...`, and `logits/`. Of PyTorch's
`_blocks.1._expand_conv.weight` and so on, `read_weights` makes these.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Iterator
from typing import Any, NamedTuple

import tensorflow.compat.v1 as tf

from slim_models.builders import layers, preprocessing
from slim_models.builders.endpoints import LITE_FACTORS, lite_units

_preprocessing = preprocessing.Affine(mean=(127.0,), std=(128.0,))
_EPSILON = 1e-3  # of its batch norm
_STEM, _HEAD = 32, 1280  # depths, of every variant
# Of each stage: depth, kernel, stride of the first unit, expansion (EfficientNet's table 1); units: `lite_units`.
_STAGES = (
    (16, 3, 1, 1),
    (24, 3, 2, 6),
    (40, 5, 2, 6),
    (80, 3, 2, 6),
    (112, 5, 1, 6),
    (192, 5, 2, 6),
    (320, 3, 1, 6),
)


class _Block(NamedTuple):
    """A row of the table for one block; the first of a stage has a stride, or another depth, and so no shortcut."""

    depth: int
    kernel_size: int
    stride: int
    expansion: int
    first: bool


def _blocks(width: float, units: float) -> Iterator[_Block]:
    """The blocks of all stages, of a variant that is so many times as wide and has so many times the units."""
    for count, (depth, kernel_size, stride, expansion) in zip(lite_units(units), _STAGES):
        for unit in range(count):
            yield _Block(_rounded(depth * width), kernel_size, 1 if unit else stride, expansion, first=not unit)


def _rounded(depth: float) -> int:
    """The nearest multiple of 8, halves up, or the next one if that is less than nine tenths."""
    nearest = max(8, int(depth + 4) // 8 * 8)
    return nearest + 8 if nearest < 0.9 * depth else nearest


def efficientnet_lite(
    images: tf.Tensor,
    *,
    width: float,
    units: float,
    scope: str,
    num_classes: int,
    width_divisor: int = 1,
    precision: str = "float32",
    training: bool = False,
) -> tuple[tf.Tensor, dict[str, tf.Tensor]]:
    """Builds an EfficientNet-Lite in the current graph.

    Args:
        images: `[N, H, W, 3]`, RGB in [0, 255].
        width: factor of the stages' depths, which are then rounded to multiples of 8.
        units: factor of the stages' numbers of units, rounded up, but for the first and last stage.
        scope: first part of every variable's name.
        num_classes: C.
        width_divisor: divides every hidden channel count, rounded up.
        precision: of the convolutions' weights and the endpoints; what follows the endpoints, and batch
            norm's parameters, are float32 in any.
        training: batch norm by the statistics of the batch.

    Returns:
        logits `[N, C]` and the endpoints `conv_stem`; `block_2`, ..., of every block whose output is the sum of its
        input and what it makes of it (others end without an activation); and `conv_head`.
    """
    normalizer = functools.partial(layers.batch_norm, training=training, epsilon=_EPSILON)
    options = {"activation": tf.nn.relu6, "normalizer": normalizer}
    endpoints = {}
    with tf.variable_scope(scope):
        net = tf.cast(_preprocessing(images), precision)
        depth = math.ceil(_STEM / width_divisor)
        net = layers.conv2d(net, depth, 3, stride=2, symmetric=False, scope="conv_stem", **options)
        endpoints["conv_stem"] = net
        for number, block in enumerate(_blocks(width, units)):
            name, depth = f"block_{number}", math.ceil(block.depth / width_divisor)
            with tf.variable_scope(name):
                outputs = _inverted_bottleneck(net, depth, block, options)
            net = outputs if block.first else net + outputs
            if not block.first:
                endpoints[name] = net
        net = layers.conv2d(net, math.ceil(_HEAD / width_divisor), 1, scope="conv_head", **options)
        endpoints["conv_head"] = net
        net = tf.reduce_mean(tf.cast(net, tf.float32), [1, 2], keepdims=True, name="pool")
        logits = layers.conv2d(net, num_classes, 1, activation=None, scope="logits")
        return tf.squeeze(logits, [1, 2], name="squeezed_logits"), endpoints


def _inverted_bottleneck(inputs: tf.Tensor, depth: int, block: _Block, options: dict[str, Any]) -> tf.Tensor:
    """`[N, h, w, K]` -> `[N, h / stride, w / stride, depth]`: expand, depthwise, and a projection that is linear."""
    net = inputs
    if block.expansion > 1:
        net = layers.conv2d(net, block.expansion * inputs.shape[3], 1, scope="expand", **options)
    net = layers.depthwise_conv2d(net, block.kernel_size, stride=block.stride, scope="depthwise", **options)
    return layers.conv2d(net, depth, 1, activation=None, normalizer=options["normalizer"], scope="project")


efficientnet_lite0 = functools.partial(efficientnet_lite, width=1.0, units=LITE_FACTORS[0], scope="efficientnet_lite0")
efficientnet_lite1 = functools.partial(efficientnet_lite, width=1.0, units=LITE_FACTORS[1], scope="efficientnet_lite1")
efficientnet_lite2 = functools.partial(efficientnet_lite, width=1.1, units=LITE_FACTORS[2], scope="efficientnet_lite2")
efficientnet_lite3 = functools.partial(efficientnet_lite, width=1.2, units=LITE_FACTORS[3], scope="efficientnet_lite3")
efficientnet_lite4 = functools.partial(efficientnet_lite, width=1.4, units=LITE_FACTORS[4], scope="efficientnet_lite4")
