"""`build`: a network of ours in a graph of its own; `build_for`: the variant that a file of weights belongs to."""

from __future__ import annotations

import dataclasses
import functools
import math
import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np
import tensorflow.compat.v1 as tf

from slim_models.backward import marked_relus
from slim_models.builders.assigned import assigned_variable
from slim_models.builders.catalogue import NETWORKS, architecture, find_weights
from slim_models.labels import Given
from slim_models.mistakes import BadValue
from slim_models.network import Network, check_precision
from slim_models.sizes import Size, height_and_width, whole_number
from slim_models.weights import Stored

_LOGITS = ("fc8/biases", "logits/biases", "Logits/Conv2d_1c_1x1/biases")


def build(
    name: str,
    *,
    image_size: Size | None = None,
    num_classes: int | None = None,
    width_divisor: int | None = None,
    fc_width: int | None = None,
    precision: str = "float32",
    labels: Given = None,
) -> Network:
    """Builds a network in a graph of its own, every ReLU marked for `gradients`.

    Args:
        name: a key of `NETWORKS`.
        image_size: height and width of the images in pixels.
        num_classes: C, the number of logits.
        width_divisor: divides every hidden channel count.
        fc_width: of a VGG's fc6 and fc7.
        precision: of variables and activations, one of `PRECISIONS`.
        labels: the classes: `"imagenet"`, `"tiny_imagenet"`, a text file with a name in every line, or names; None is
            the list that the network was trained on, where that has as many classes.

    Each size is the network's own (see `NETWORKS`) where it is None.

    Returns:
        The network; its variables have the names of its weight file, which is where its values come from. They have no
        initial values, whose operations would be most of the time that building takes: they are assigned.

    Raises:
        FileNotFoundError: no such list of classes.
        KeyError: no such network.
        ValueError: a size, a number of classes, a divisor or a precision that cannot be; or labels of another number.
    """
    entry = architecture(name)
    size = _side(image_size, entry.image_size)
    num_classes = _positive("num_classes", num_classes, entry.num_classes)
    width_divisor = _positive("width_divisor", width_divisor, entry.width_divisor)
    if entry.depth % width_divisor:
        raise BadValue(f"width_divisor {width_divisor} does not divide {entry.depth}, the narrowest layer's channels")
    check_precision(precision)
    options = {"num_classes": num_classes, "width_divisor": width_divisor}
    if fc_width is not None:
        options["fc_width"] = _positive("fc_width", fc_width, fc_width)
    known = entry.labels_of(num_classes, labels)
    network = _build(name, size, options, precision)
    return dataclasses.replace(network, labels=known)


def _build(
    name: str,
    image_size: int,
    options: Mapping[str, int],
    precision: str,
    unfolded: Mapping[str, tuple[int, ...]] | None = None,
) -> Network:
    """Builds a network, or builds one again: its batch norm is then folded into what weights of the shapes say."""
    entry = architecture(name)
    form = {} if unfolded is None else {"batch_norm": False}
    graph = tf.Graph()
    with graph.as_default(), marked_relus(graph), warnings.catch_warnings():
        # tf_slim calls what TensorFlow says it will not keep, which is no matter to whoever builds.
        warnings.filterwarnings("ignore", module="tensorflow|tf_slim")
        tf.get_variable_scope().set_custom_getter(assigned_variable)
        images = tf.placeholder(tf.float32, [None, image_size, image_size, 3], name="images")
        logits, endpoints = entry.builder(images, precision=precision, **options, **form)
    network = Network(
        name,
        images,
        logits,
        endpoints,
        entry.default_layer,
        Stored(functools.partial(find_weights, name)),
        precision=precision,
        input_order=entry.input_order,
        unfolded=unfolded,
        preprocessing=entry.preprocessing,
    )
    again = functools.partial(
        _build, name, image_size, options, unfolded=network.weight_shapes() if entry.folds else None
    )
    return dataclasses.replace(network, rebuild=again)


def _side(size: Any, default: int) -> int:
    """Height and width, which are the same, of pictures for a network of ours."""
    if size is None:
        return default
    height, width = height_and_width(size, "image_size")
    if height != width:
        raise BadValue(f"networks of ours take square pictures, not {height} x {width}")
    return height


def _positive(name: str, value: int | None, default: int) -> int:
    number = whole_number(default if value is None else value)
    if number < 1:
        raise BadValue(f"{name} must be a positive whole number, not {value!r}")
    return number


def build_for(
    name: str, weights: Mapping[str, np.ndarray], image_size: Size | None = None, *, labels: Given = None
) -> Network:
    """Builds the network of that name with the number of classes and the width that the weights have.

    Args:
        name: a key of `NETWORKS`.
        weights: variable name -> array; the network's values. Of a VGG they may be torchvision's: then it is built as
            torchvision trained it, `vgg16_torchvision`.
        image_size: height and width of the images in pixels; None is what the weights say, which a VGG's
            do, or else the network's own.
        labels: as of `build`.

    Returns:
        The network. If the weights are another network's, it is the ordinary one, and `check_weights`
        says what does not fit.

    Raises:
        KeyError: no such network.
        ValueError: the weights' first fully connected layer takes pictures of another size; or as of `build`.
    """
    name = _variant(name, weights)
    shapes = {variable.removeprefix(f"{name}/"): np.shape(array) for variable, array in weights.items()}
    entry = architecture(name)
    num_classes = next((_width(shape) for variable, shape in shapes.items() if variable.endswith(_LOGITS)), None)
    depth = next((_width(shape) for shape in shapes.values() if len(shape) == 4 and shape[2] == 3), None)
    width_divisor = entry.depth // depth if depth and entry.depth % depth == 0 else None
    fc_width = _width(shapes.get("fc6/biases", ())) if name.startswith("vgg") else None
    network = build(
        name,
        image_size=_image_size(name, shapes, _side(image_size, entry.image_size), image_size),
        num_classes=num_classes,
        width_divisor=width_divisor,
        fc_width=fc_width,
        labels=labels,
    )
    return dataclasses.replace(network, values=Stored(weights))


def _variant(name: str, weights: Mapping[str, np.ndarray]) -> str:
    """The network itself, or torchvision's, which differs from it in what it is fed alone, if the weights are its."""
    other = f"{name}_torchvision"
    return other if other in NETWORKS and any(variable.startswith(f"{other}/") for variable in weights) else name


def _width(shape: tuple[int, ...]) -> int | None:
    """The last size of an array that has some numbers: its channels or classes."""
    return shape[-1] if shape and all(shape) else None


def _image_size(name: str, shapes: Mapping[str, tuple[int, ...]], size: int, asked: Size | None) -> int:
    """The size, if a VGG's fc6 takes the pool5 of such pictures, or one that it does take, if none was asked for."""
    weights, depth = shapes.get("fc6/weights", ()), _width(shapes.get("conv5_3/biases", ()))
    pool5 = size // 32 if name.endswith("torchvision") else math.ceil(size / 32)
    side = math.isqrt(weights[0] // depth) if len(weights) == 2 and depth else pool5
    if side in (pool5, 0):
        return size
    if asked is None:
        return 32 * side
    raise BadValue(
        f"the pictures are {size} x {size}, but fc6/weights {list(weights)} takes a pool5 of "
        f"{side} x {side}, of pictures of {32 * side} x {32 * side}"
    )
