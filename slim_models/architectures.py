"""The known networks as data, and `build`."""

from __future__ import annotations

import dataclasses
import functools
import operator
import pathlib
from collections.abc import Callable, Mapping

import tensorflow.compat.v1 as tf

from slim_models import files
from slim_models.network import PRECISIONS, Network
from slim_models.relu_gradients import marked_relus
from slim_models.resnet_v1 import resnet_v1_50, resnet_v1_101
from slim_models.vgg16 import vgg16


@dataclasses.dataclass(frozen=True)
class Architecture:
    """What `build` needs to know of a network, and the names of what belongs to it.

    Attributes:
        builder: `(images, *, num_classes, width_divisor, ...) -> (logits, endpoints)`.
        default_layer: the layer that Grad-CAM explains unless told otherwise.
        file: name of its weights in a `weights` folder.
        labels: name of the list of its classes.
        image_size: default height and width in pixels.
        num_classes: default number of classes.
        width_divisor: default divisor of the channel counts.
        input_order: order of the channels that the network itself takes, which Caffe's gradients speak of.
    """

    builder: Callable
    default_layer: str
    file: str
    labels: str = "imagenet"
    image_size: int = 224
    num_classes: int = 1000
    width_divisor: int = 1
    input_order: str = "RGB"


NETWORKS = {
    "vgg16": Architecture(vgg16, "conv5_3", "vgg16.npy", input_order="BGR"),
    "resnet_v1_50": Architecture(resnet_v1_50, "block4", "resnet_v1_50.ckpt"),
    "resnet_v1_101": Architecture(resnet_v1_101, "block4", "resnet_v1_101.ckpt"),
    "resnet_v1_50_tiny": Architecture(
        functools.partial(resnet_v1_50, output_stride=16),
        "block4",
        "resnet_v1_50_tiny.ckpt",
        labels="tiny_imagenet",
        image_size=112,
        num_classes=200,
        width_divisor=4,
    ),
    "vgg16_tiny": Architecture(
        vgg16,
        "conv5_3",
        "vgg16_tiny.npy",
        labels="tiny_imagenet",
        image_size=112,
        num_classes=200,
        width_divisor=4,
        input_order="BGR",
    ),
}


def architecture(name: str) -> Architecture:
    """The entry of `NETWORKS`; a KeyError that lists the choices if there is none."""
    if name not in NETWORKS:
        raise KeyError(f"no network {name!r}; the networks are {', '.join(NETWORKS)}")
    return NETWORKS[name]


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
        fc_width: of VGG16's fc6 and fc7.
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
    if 64 % width_divisor:
        raise ValueError(f"width_divisor {width_divisor} does not divide 64, the narrowest layer's channels")
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
    with graph.as_default(), marked_relus(graph):
        images = tf.placeholder(tf.float32, [None, image_size, image_size, 3], name="images")
        logits, endpoints = entry.builder(images, precision=precision, **options, **form)
    network = Network(name, images, logits, endpoints, entry.default_layer, precision, unfolded=unfolded)
    again = functools.partial(_build, name, image_size, options, unfolded=network.weight_shapes())
    return dataclasses.replace(network, rebuild=again)


def _positive(name: str, value: int | None, default: int) -> int:
    try:
        number = operator.index(default if value is None else value)
    except TypeError:
        number = 0
    if number < 1:
        raise ValueError(f"{name} must be a positive whole number, not {value!r}")
    return number


def find_weights(name: str) -> pathlib.Path:
    """The file with a known network's weights.

    Raises:
        KeyError: no such network.
        FileNotFoundError: the file is in none of the folders; the message says where to get it.
    """
    entry = architecture(name)
    path = files.find(entry.file)
    if path is None:
        raise FileNotFoundError(
            f"no weights for {name}: fetch them with 'gradcam download {name}', or put {entry.file} into ./weights or "
            f"the folder that GRADCAM_WEIGHTS names, or give a file's path"
        )
    return path
