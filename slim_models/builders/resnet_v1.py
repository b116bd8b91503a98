"""ResNet-v1 (He et al. 2016) as TF-Slim, its authors and torchvision trained it; variables named as in slim's files.

All three take weights of the same shapes, but not the same weights: `Variant` says where they differ.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import tensorflow.compat.v1 as tf

from slim_models.builders import layers, preprocessing
from slim_models.builders.endpoints import RESNET_UNITS

_DEPTHS = (64, 128, 256, 512)  # bottleneck of each block; a unit's output is four times as deep


class Variant(NamedTuple):
    """What whoever trained a ResNet-v1 decided: where three networks differ whose weights have the same shapes.

    Attributes:
        preprocessing: RGB in [0, 255] -> what it takes.
        strided: the unit that halves the maps between two blocks, the `"last"` of the upper or the `"first"` of the
            lower one, and which of its convolutions does.
        pool: where the first max pool, 3 x 3 with stride 2, goes beyond the maps: as TensorFlow's `"SAME"` does,
            `"both"` sides by one, or on the right and below where the last window would not be whole, as `"caffe"`'s.
    """

    preprocessing: preprocessing.Preprocessing
    strided: tuple[str, str]
    pool: str


SLIM = Variant(preprocessing.subtract_mean, ("last", "conv2"), "SAME")
CAFFE = Variant(preprocessing.caffe_bgr, ("first", "conv1"), "caffe")  # the paper's own
TORCHVISION = Variant(preprocessing.standardized, ("first", "conv2"), "both")  # "v1.5"


def resnet_v1(
    images: tf.Tensor,
    *,
    units: Sequence[int],
    scope: str,
    num_classes: int,
    variant: Variant = SLIM,
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
        variant: whose network it is.
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
        net = tf.cast(variant.preprocessing(images), precision)
        net = layers.conv2d(net, 64 // width_divisor, 7, stride=2, normalizer=normalizer, scope="conv1")
        endpoints["conv1"] = net
        net = endpoints["pool1"] = _pool1(net, variant.pool)
        reached, rate = 4, 1
        for number, (count, depth) in enumerate(zip(units, _DEPTHS), start=1):
            for unit in range(1, count + 1):
                halves = number < 4 and unit == count if variant.strided[0] == "last" else number > 1 and unit == 1
                # Past the output stride a stride becomes a dilation of all later kernels.
                dilate = halves and reached >= output_stride
                strides = {variant.strided[1]: 2} if halves and not dilate else {}
                reached, later = (reached * 2, rate) if strides else (reached, rate * 2 if dilate else rate)
                name = f"block{number}/unit_{unit}"
                with tf.variable_scope(f"{name}/bottleneck_v1"):
                    own = later if variant.strided[1] == "conv1" else rate
                    net = _bottleneck(net, depth // width_divisor, strides, own, normalizer)
                endpoints[name], rate = net, later
            endpoints[f"block{number}"] = net
        net = tf.reduce_mean(tf.cast(net, tf.float32), [1, 2], keepdims=True, name="pool5")
        logits = layers.conv2d(net, num_classes, 1, activation=None, scope="logits")
        return tf.squeeze(logits, [1, 2], name="squeezed_logits"), endpoints


def _pool1(inputs: tf.Tensor, pool: str) -> tf.Tensor:
    """The first max pool: `[N, h, w, K]` -> about `[N, h / 2, w / 2, K]`."""
    if pool == "SAME":
        return layers.max_pool2d(inputs, 3, 2, scope="pool1")
    if pool == "both":
        return layers.max_pool2d(inputs, 3, 2, scope="pool1", padding=[(1, 1), (1, 1)])
    # Caffe rounds the number of windows up; of an even size the last one is not whole.
    return layers.max_pool2d(inputs, 3, 2, scope="pool1", padding=[(0, 1 - size % 2) for size in inputs.shape[1:3]])


def _bottleneck(
    inputs: tf.Tensor, depth: int, strides: Mapping[str, int], rate: int, normalizer: layers.Normalizer
) -> tf.Tensor:
    """`[N, h, w, K]` -> `[N, h / stride, w / stride, 4 * depth]`: 1x1, 3x3, 1x1 and the shortcut."""
    stride = max(strides.values(), default=1)
    if inputs.shape[-1] == 4 * depth:
        shortcut = inputs if stride == 1 else layers.max_pool2d(inputs, 1, stride, scope="shortcut")
    else:
        shortcut = layers.conv2d(
            inputs, 4 * depth, 1, stride=stride, activation=None, normalizer=normalizer, scope="shortcut"
        )
    first, second = strides.get("conv1", 1), strides.get("conv2", 1)
    net = layers.conv2d(inputs, depth, 1, stride=first, normalizer=normalizer, scope="conv1")
    net = layers.conv2d(net, depth, 3, stride=second, rate=rate, normalizer=normalizer, scope="conv2")
    net = layers.conv2d(net, 4 * depth, 1, activation=None, normalizer=normalizer, scope="conv3")
    return tf.nn.relu(shortcut + net)


_50, _101 = (functools.partial(resnet_v1, units=RESNET_UNITS[depth]) for depth in ("50", "101"))
resnet_v1_50 = functools.partial(_50, scope="resnet_v1_50")
resnet_v1_101 = functools.partial(_101, scope="resnet_v1_101")
resnet_v1_50_caffe = functools.partial(_50, scope="resnet_v1_50_caffe", variant=CAFFE)
resnet_v1_101_caffe = functools.partial(_101, scope="resnet_v1_101_caffe", variant=CAFFE)
resnet_v1_5_50 = functools.partial(_50, scope="resnet_v1_5_50", variant=TORCHVISION)
resnet_v1_5_101 = functools.partial(_101, scope="resnet_v1_5_101", variant=TORCHVISION)
