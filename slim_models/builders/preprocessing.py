"""RGB in [0, 255] -> what each network was trained on, inside the graph.

Because this is part of the graph, gradients with respect to `images` are RGB for every network.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import tensorflow.compat.v1 as tf

RGB_MEAN = (123.68, 116.779, 103.939)  # of ImageNet, as Caffe and slim use it


def subtract_mean(images: tf.Tensor) -> tf.Tensor:
    """RGB minus the mean of ImageNet (slim's `vgg_preprocessing`, used for its ResNets).

    Args:
        images: `[N, H, W, 3]`, RGB in [0, 255].

    Returns:
        `[N, H, W, 3]`, RGB, centred on zero.
    """
    import tensorflow.compat.v1 as tf

    return images - tf.constant(RGB_MEAN, images.dtype)


def caffe_bgr(images: tf.Tensor) -> tf.Tensor:
    """BGR minus the mean of ImageNet, the input of Caffe's VGG16 and VGG19.

    Args:
        images: `[N, H, W, 3]`, RGB in [0, 255].

    Returns:
        `[N, H, W, 3]`, BGR, centred on zero.
    """
    import tensorflow.compat.v1 as tf

    return tf.reverse(subtract_mean(images), axis=[-1])


def minus_one_to_one(images: tf.Tensor) -> tf.Tensor:
    """RGB scaled to [-1, 1] (slim's `inception_preprocessing`, used for its MobileNets).

    Args:
        images: `[N, H, W, 3]`, RGB in [0, 255].

    Returns:
        `[N, H, W, 3]`, RGB in [-1, 1].
    """
    return images / 127.5 - 1.0


def zero_to_one(images: tf.Tensor) -> tf.Tensor:
    """RGB in [0, 1].

    Args:
        images: `[N, H, W, 3]`, RGB in [0, 255].

    Returns:
        `[N, H, W, 3]`, RGB in [0, 1].
    """
    return images / 255.0


def standardized(images: tf.Tensor) -> tf.Tensor:
    """RGB in [0, 1] minus ImageNet's mean, over its standard deviation, as torchvision's networks take it.

    Args:
        images: `[N, H, W, 3]`, RGB in [0, 255].

    Returns:
        `[N, H, W, 3]`, RGB, of about zero mean and unit variance.
    """
    import tensorflow.compat.v1 as tf

    return (zero_to_one(images) - tf.constant((0.485, 0.456, 0.406), images.dtype)) / tf.constant(
        (0.229, 0.224, 0.225), images.dtype
    )


def none(images: tf.Tensor) -> tf.Tensor:
    """The images as they are: the graph takes RGB in [0, 255], or does the rest itself.

    Args:
        images: `[N, H, W, 3]`, RGB in [0, 255].

    Returns:
        The same.
    """
    import tensorflow.compat.v1 as tf

    return tf.identity(images)


def grey(images: tf.Tensor) -> tf.Tensor:
    """The luma of Rec. 601, 0.299 R + 0.587 G + 0.114 B: what OpenCV and Pillow call grey.

    Args:
        images: `[N, H, W, 3]`, RGB in [0, 255].

    Returns:
        `[N, H, W, 1]`, in [0, 255].
    """
    import tensorflow.compat.v1 as tf

    # No product of matrices, whose numbers some GPUs shorten.
    return tf.reduce_sum(images * tf.constant((0.299, 0.587, 0.114), images.dtype), axis=3, keepdims=True)


# What a graph of the user's may want, by name.
PREPROCESSINGS: dict[str, Callable[[tf.Tensor], tf.Tensor]] = {
    "none": none,
    "minus_one_to_one": minus_one_to_one,
    "zero_to_one": zero_to_one,
    "subtract_mean": subtract_mean,
    "caffe_bgr": caffe_bgr,
    "standardized": standardized,
}
# Those that do the same to every channel; the others have three numbers a pixel, and mean nothing for grey pictures.
GREY_PREPROCESSINGS = ("none", "minus_one_to_one", "zero_to_one")
