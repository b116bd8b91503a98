"""RGB in [0, 255] -> what each network was trained on, inside the graph.

Because this is part of the graph, gradients with respect to `images` are RGB for every network.
"""

from __future__ import annotations

import tensorflow.compat.v1 as tf

RGB_MEAN = (123.68, 116.779, 103.939)  # of ImageNet, as Caffe and slim use it


def subtract_mean(images: tf.Tensor) -> tf.Tensor:
    """RGB minus the mean of ImageNet (slim's `vgg_preprocessing`, used for its ResNets).

    Args:
        images: `[N, H, W, 3]`, RGB in [0, 255].

    Returns:
        `[N, H, W, 3]`, RGB, centred on zero.
    """
    return images - tf.constant(RGB_MEAN, images.dtype)


def caffe_bgr(images: tf.Tensor) -> tf.Tensor:
    """BGR minus the mean of ImageNet, the input of Caffe's VGG16 and VGG19.

    Args:
        images: `[N, H, W, 3]`, RGB in [0, 255].

    Returns:
        `[N, H, W, 3]`, BGR, centred on zero.
    """
    return tf.reverse(subtract_mean(images), axis=[-1])


def minus_one_to_one(images: tf.Tensor) -> tf.Tensor:
    """RGB scaled to [-1, 1] (slim's `inception_preprocessing`, used for its MobileNets).

    Args:
        images: `[N, H, W, 3]`, RGB in [0, 255].

    Returns:
        `[N, H, W, 3]`, RGB in [-1, 1].
    """
    return images / 127.5 - 1
