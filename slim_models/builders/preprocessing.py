"""RGB in [0, 255] -> what each network was trained on, inside the graph.

Because this is part of the graph, gradients with respect to `images` are RGB for every network.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from slim_models.mistakes import BadValue, UnknownName

if TYPE_CHECKING:
    import tensorflow.compat.v1 as tf

EXAMPLE = "mean=123.68/116.779/103.939,order=BGR"
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
    return bgr(subtract_mean(images))


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


def bgr(images: tf.Tensor) -> tf.Tensor:
    """BGR in [0, 255], for a graph that does the rest itself, as the exports of Azure's Custom Vision do.

    Args:
        images: `[N, H, W, 3]`, RGB in [0, 255].

    Returns:
        `[N, H, W, 3]`, BGR in [0, 255].
    """
    import tensorflow.compat.v1 as tf

    return tf.reverse(images, axis=[-1])


# What a graph of the user's may want, by name.
PREPROCESSINGS: dict[str, Callable[[tf.Tensor], tf.Tensor]] = {
    "none": none,
    "minus_one_to_one": minus_one_to_one,
    "zero_to_one": zero_to_one,
    "subtract_mean": subtract_mean,
    "caffe_bgr": caffe_bgr,
    "standardized": standardized,
    "bgr": bgr,
}
# Those that do the same to every channel; the others have three numbers a pixel, and mean nothing for other channels.
GREY_PREPROCESSINGS = ("none", "minus_one_to_one", "zero_to_one")


def example_for(choices: Iterable[str]) -> str:
    """Numbers, as `affine` reads them, for a network for which there are these preprocessings."""
    return EXAMPLE if "caffe_bgr" in choices else "mean=127.5,std=127.5"


@dataclasses.dataclass(frozen=True)
class Affine:
    """(images / scale - mean) / std, and the channels in another order after that.

    Attributes:
        mean: of R, G, B, or of each of K channels, or one number for all.
        std: likewise.
        scale: what pixels in [0, 255] are divided by first.
        order: `RGB`, or `BGR` if the channels are reversed in the end.
    """

    mean: tuple[float, ...] = (0.0,)
    std: tuple[float, ...] = (1.0,)
    scale: float = 1.0
    order: str = "RGB"

    @property
    def channels(self) -> int | None:
        """The channels that it is for; None if it does the same to any number of them."""
        count = max(len(self.mean), len(self.std))
        return count if count > 1 else 3 if self.order == "BGR" else None

    def __call__(self, images: tf.Tensor) -> tf.Tensor:
        """`[N, H, W, C]`, RGB in [0, 255] or any other channels -> what the network takes."""
        import tensorflow.compat.v1 as tf

        mean, std = (tf.constant(numbers, images.dtype) for numbers in (self.mean, self.std))
        result = (images / self.scale - mean) / std
        return bgr(result) if self.order == "BGR" else result

    def __str__(self) -> str:
        """As `affine` reads it."""
        numbers = {"mean": self.mean, "std": self.std, "scale": (self.scale,)}
        parts = [f"{key}={'/'.join(f'{number:g}' for number in value)}" for key, value in numbers.items()]
        return ",".join([*parts, f"order={self.order}"])


def affine(text: str) -> Affine:
    """Reads `mean=R/G/B,std=R/G/B,scale=S,order=BGR`; what is left out is 0, 1, 1 and RGB.

    Args:
        text: parts between commas in any order, each once; of mean and std one number, or one a channel, which are
            of R, G and B whatever the order is.

    Raises:
        ValueError: it is none of that; the message has an example.
    """
    found: dict[str, Any] = {}
    for part in text.split(","):
        key, _, value = (word.strip() for word in part.partition("="))
        if key not in ("mean", "std", "scale", "order") or key in found:
            raise _unreadable(text, f"{part.strip()!r} is not one of mean=, std=, scale=, order=, each at most once")
        found[key] = value.upper() if key == "order" else _numbers(text, key, value)
    if found.get("order", "RGB") not in ("RGB", "BGR"):
        raise _unreadable(text, f"order is RGB or BGR, not {found['order']!r}")
    if "scale" in found:
        found["scale"] = found["scale"][0]
    counts = {len(found[key]) for key in ("mean", "std") if key in found} | {1}
    if len(counts) > 2 or (found.get("order") == "BGR" and max(counts) not in (1, 3)):
        raise _unreadable(text, f"mean, std and order are of other numbers of channels: {_counted(found)}")
    return Affine(**found)


def _counted(found: dict[str, Any]) -> str:
    return ", ".join(f"{key} of {len(found[key])}" for key in ("mean", "std", "order") if key in found)


def _numbers(text: str, key: str, value: str) -> tuple[float, ...]:
    try:
        numbers = tuple(float(number) for number in value.split("/"))
    except ValueError:
        numbers = ()
    least = -math.inf if key == "mean" else 0
    many = len(numbers) > 1 and key == "scale"
    if many or not numbers or not all(least < number < math.inf for number in numbers):
        wanted = "one number" if key == "scale" else "one number, or three of R/G/B, or one of each channel"
        raise _unreadable(text, f"{key} is {wanted}{'' if key == 'mean' else ' above 0'}, not {value!r}")
    return numbers


def _unreadable(text: str, reason: str) -> BadValue:
    return BadValue(f"preprocessing {text!r} cannot be read: {reason}; for example {EXAMPLE}")


Preprocessing = Callable[["tf.Tensor"], "tf.Tensor"]


def preprocessing_for(given: Any) -> Preprocessing:
    """What a user calls a preprocessing, as a function.

    Args:
        given: a key of `PREPROCESSINGS`, what `affine` reads, or a function of `[N, H, W, 3]`, RGB in [0, 255]
            (of a network that takes other channels, of these).

    Raises:
        KeyError: no preprocessing has that name.
        ValueError: numbers that cannot be read, or something else.
    """
    if callable(given):
        return given
    if not isinstance(given, str):
        raise BadValue(f"preprocessing is a name, numbers such as {EXAMPLE}, or a function, not {given!r}")
    if "=" in given:
        return affine(given)
    if given not in PREPROCESSINGS:
        names = ", ".join(PREPROCESSINGS)
        raise UnknownName(f"no preprocessing {given!r}; there are {names}, or numbers such as {EXAMPLE}")
    return PREPROCESSINGS[given]


def channels_of(given: Any) -> int | None:
    """The channels that a preprocessing is for; None if for any number, or of a function of the user's.

    Args:
        given: as of `preprocessing_for`.
    """
    preprocessing = preprocessing_for(given)
    if isinstance(preprocessing, Affine):
        return preprocessing.channels
    return None if callable(given) or given in GREY_PREPROCESSINGS else 3


def order_of(given: Any) -> str:
    """The order of channels that a preprocessing ends in, `RGB` or `BGR`; of a function of the user's, RGB."""
    if given in ("caffe_bgr", "bgr"):
        return "BGR"
    preprocessing = preprocessing_for(given)
    return preprocessing.order if isinstance(preprocessing, Affine) else "RGB"


def in_words(given: Any) -> str:
    """What a preprocessing is called: its name or numbers, and `a function` of one of the user's own."""
    return str(given) if isinstance(given, (str, Affine)) else "a function"


def prepared(images: tf.Tensor, given: Any) -> tf.Tensor:
    """What a preprocessing makes of images.

    Args:
        images: RGB in [0, 255], or any other channels.
        given: as of `preprocessing_for`.

    Raises:
        KeyError, ValueError: as of `preprocessing_for`, or a function does not return images of that shape.
    """
    import tensorflow.compat.v1 as tf

    result = preprocessing_for(given)(images)
    if not isinstance(result, tf.Tensor) or not result.shape.is_compatible_with(images.shape):
        raise BadValue(f"preprocessing must return a tensor {images.shape}, as it takes, not {result!r}")
    return tf.cast(result, images.dtype)
