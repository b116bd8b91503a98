"""VGG16 and VGG19 (Simonyan & Zisserman 2015, configurations D and E); variables named as in `vgg16.npy`.

Torchvision trained the same layers on other pixels; its networks' variables have a scope around these names.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

import tensorflow.compat.v1 as tf

from slim_models.builders import layers, preprocessing
from slim_models.builders.endpoints import VGG_CONVOLUTIONS

_DEPTHS = (64, 128, 256, 512, 512)  # of the five blocks' convolutions


def vgg(
    images: tf.Tensor,
    *,
    convolutions: Sequence[int],
    num_classes: int,
    prepare: preprocessing.Preprocessing = preprocessing.caffe_bgr,
    whole_windows: bool = False,
    width_divisor: int = 1,
    fc_width: int | None = None,
    precision: str = "float32",
    batch_norm: bool = False,
    pool5_size: int | None = None,
    dropout: float = 0.0,
    hidden: tf.Tensor | None = None,
    training: bool = False,
) -> tuple[tf.Tensor, dict[str, tf.Tensor]]:
    """Builds a VGG in the current graph; the arguments after `precision` are for training it.

    Args:
        images: `[N, H, W, 3]`, RGB in [0, 255]; H and W decide the shape of `fc6/weights`.
        convolutions: number of convolutions of the five blocks: (2, 2, 3, 3, 3) for VGG16.
        num_classes: C.
        prepare: RGB in [0, 255] -> what it takes.
        whole_windows: whether max pools leave out a last row or column that is no whole window, as PyTorch's do;
            Caffe's do not.
        width_divisor: divides every hidden channel count, also of fc6 and fc7.
        fc_width: of fc6 and fc7, if it is another.
        precision: of variables and endpoints; fc8, and with it the logits, is float32 in any.
        batch_norm: in place of every layer's biases but those of fc8.
        pool5_size: height and width that `pool5` is resized to before fc6, so that images of any
            size share one fc6; None leaves it alone.
        dropout: share of fc6 and fc7 that is left out, while training.
        hidden: highest share of the places of `pool5` that fc6 does not see of a picture, while training; None: it
            sees all.
        training: batch norm by the statistics of the batch, dropout and hidden places.

    Returns:
        logits `[N, C]` and the endpoints `conv1_1`, `conv1_2`, `pool1`, ..., `conv5_3` (VGG19: `conv5_4`), `pool5`.
    """
    normalizer = functools.partial(layers.batch_norm, training=training) if batch_norm else None
    padding = [(0, 0)] * 2 if whole_windows else None
    endpoints = {}
    net = tf.cast(prepare(images), precision)
    for number, (depth, count) in enumerate(zip(_DEPTHS, convolutions), start=1):
        for i in range(1, count + 1):
            name = f"conv{number}_{i}"
            net = endpoints[name] = layers.conv2d(net, depth // width_divisor, 3, normalizer=normalizer, scope=name)
        name = f"pool{number}"
        net = endpoints[name] = layers.max_pool2d(net, 2, 2, scope=name, padding=padding)
    if training and hidden is not None:
        net = layers.hide_places(net, hidden)
    if pool5_size is not None:
        net = tf.image.resize_bilinear(net, [pool5_size, pool5_size], half_pixel_centers=True)
    net = layers.flatten(net)
    for name in ("fc6", "fc7"):
        net = layers.fully_connected(net, fc_width or 4096 // width_divisor, normalizer=normalizer, scope=name)
        if training and dropout:
            net = tf.nn.dropout(net, rate=dropout)
    return layers.fully_connected(tf.cast(net, tf.float32), num_classes, activation=None, scope="fc8"), endpoints


def vgg_torchvision(images: tf.Tensor, *, scope: str, **options: Any) -> tuple[tf.Tensor, dict[str, tf.Tensor]]:
    """Builds one of torchvision's VGGs in the current graph.

    Args:
        images: as of `vgg`.
        scope: first part of every variable's name.
        options: of `vgg`.

    Returns:
        As `vgg` does.
    """
    with tf.variable_scope(scope):
        return vgg(images, prepare=preprocessing.standardized, whole_windows=True, **options)


vgg16 = functools.partial(vgg, convolutions=VGG_CONVOLUTIONS["vgg16"])
vgg19 = functools.partial(vgg, convolutions=VGG_CONVOLUTIONS["vgg19"])
vgg16_torchvision = functools.partial(vgg_torchvision, scope="vgg16_torchvision", **vgg16.keywords)
vgg19_torchvision = functools.partial(vgg_torchvision, scope="vgg19_torchvision", **vgg19.keywords)
