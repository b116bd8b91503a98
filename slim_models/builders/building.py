"""`build`: a network of ours in a graph of its own."""

from __future__ import annotations

import dataclasses
import functools
import operator
import warnings
from collections.abc import Mapping

import tensorflow.compat.v1 as tf

from slim_models.architectures import architecture
from slim_models.network import PRECISIONS, Network
from slim_models.relu_gradients import marked_relus


def build(
    name: str,
    *,
    image_size: int | None = None,
    num_classes: int | None = None,
    width_divisor: int | None = None,
    fc_width: int | None = None,
    precision: str = "float32",
) -> Network:
    """Builds a network in a graph of its own, every ReLU marked for `gradients`.

    Args:
        name: a key of `NETWORKS`.
        image_size: height and width of the images in pixels.
        num_classes: C, the number of logits.
        width_divisor: divides every hidden channel count.
        fc_width: of a VGG's fc6 and fc7.
        precision: of variables and activations, one of `PRECISIONS`.

    Each size is the network's own (see `NETWORKS`) where it is None.

    Returns:
        The network; its variables have the names of its weight file and no values yet.

    Raises:
        KeyError: no such network.
        ValueError: a size, a number of classes, a divisor or a precision that cannot be.
    """
    entry = architecture(name)
    size = _positive("image_size", image_size, entry.image_size)
    num_classes = _positive("num_classes", num_classes, entry.num_classes)
    width_divisor = _positive("width_divisor", width_divisor, entry.width_divisor)
    if entry.depth % width_divisor:
        raise ValueError(f"width_divisor {width_divisor} does not divide {entry.depth}, the narrowest layer's channels")
    if precision not in PRECISIONS:
        raise ValueError(f"no precision {precision!r}; the precisions are {', '.join(PRECISIONS)}")
    options = {"num_classes": num_classes, "width_divisor": width_divisor}
    options.update({} if fc_width is None else {"fc_width": fc_width})
    return _build(name, size, options, precision)


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
        images = tf.placeholder(tf.float32, [None, image_size, image_size, 3], name="images")
        logits, endpoints = entry.builder(images, precision=precision, **options, **form)
    network = Network(
        name,
        images,
        logits,
        endpoints,
        entry.default_layer,
        precision,
        input_order=entry.input_order,
        unfolded=unfolded,
    )
    again = functools.partial(
        _build, name, image_size, options, unfolded=network.weight_shapes() if entry.folds else None
    )
    return dataclasses.replace(network, rebuild=again)


def _positive(name: str, value: int | None, default: int) -> int:
    try:
        number = operator.index(default if value is None else value)
    except TypeError:
        number = 0
    if number < 1:
        raise ValueError(f"{name} must be a positive whole number, not {value!r}")
    return number
