"""The known networks as data, and where their weights are."""

from __future__ import annotations

import dataclasses
import functools
import importlib
import pathlib
from collections.abc import Callable, Mapping
from typing import Any

from slim_models import files
from slim_models.mistakes import MissingFile, UnknownName


@dataclasses.dataclass(frozen=True)
class Architecture:
    """What `build` needs to know of a network, and the names of what belongs to it.

    Attributes:
        function: what builds it: a module of this folder and its function, `"vgg.vgg16"`.
        default_layer: the layer that Grad-CAM explains unless told otherwise.
        file: name of its weights in a `weights` folder.
        labels: name of the list of its classes.
        image_size: default height and width in pixels.
        num_classes: default number of classes.
        width_divisor: default divisor of the channel counts.
        depth: channels of its first layer, the narrowest, at a width divisor of 1.
        input_order: order of the channels that the network itself takes, which Caffe's gradients speak of.
        less_mean: whether it takes pictures less the mean of ImageNet, as Caffe's networks do.
        folds: whether its batch norm, if it has some, can be folded into the weights before it (`folding`).
        options: of the function, that are always the same.
        ends: names of its first weights and its last biases, by which its own are known among others in a file.
    """

    function: str
    default_layer: str
    file: str
    labels: str = "imagenet"
    image_size: int = 224
    num_classes: int = 1000
    width_divisor: int = 1
    depth: int = 64
    input_order: str = "RGB"
    less_mean: bool = True
    folds: bool = True
    options: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    ends: tuple[str, ...] = ()

    @property
    def preprocessing(self) -> str:
        """What it does with RGB in [0, 255] first, of `PREPROCESSINGS`."""
        if not self.less_mean:
            return "minus_one_to_one"
        return "caffe_bgr" if self.input_order == "BGR" else "subtract_mean"

    @property
    def builder(self) -> Callable:
        """`(images, *, num_classes, width_divisor, ...) -> (logits, endpoints)`; brings TensorFlow."""
        module, _, function = self.function.partition(".")
        found = getattr(importlib.import_module(f"slim_models.builders.{module}"), function)
        return functools.partial(found, **self.options)


_VGG = ("conv1_1/weights", "fc8/biases")
_RESNET_50 = ("resnet_v1_50/conv1/weights", "resnet_v1_50/logits/biases")
_RESNET_101 = ("resnet_v1_101/conv1/weights", "resnet_v1_101/logits/biases")
_MOBILENET = ("MobilenetV1/Conv2d_0/weights", "MobilenetV1/Logits/Conv2d_1c_1x1/biases")

NETWORKS = {
    "vgg16": Architecture("vgg.vgg16", "conv5_3", "vgg16.npy", input_order="BGR", ends=_VGG),
    "vgg19": Architecture("vgg.vgg19", "conv5_4", "vgg19.npy", input_order="BGR", ends=_VGG),
    "resnet_v1_50": Architecture("resnet_v1.resnet_v1_50", "block4", "resnet_v1_50.ckpt", ends=_RESNET_50),
    "resnet_v1_101": Architecture("resnet_v1.resnet_v1_101", "block4", "resnet_v1_101.ckpt", ends=_RESNET_101),
    "mobilenet_v1": Architecture(
        "mobilenet_v1.mobilenet_v1",
        "Conv2d_13_pointwise",
        "mobilenet_v1.ckpt",
        num_classes=1001,
        depth=32,
        less_mean=False,
        folds=False,
        ends=_MOBILENET,
    ),
    "resnet_v1_50_tiny": Architecture(
        "resnet_v1.resnet_v1_50",
        "block4",
        "resnet_v1_50_tiny.ckpt",
        ends=_RESNET_50,
        options={"output_stride": 16},
        labels="tiny_imagenet",
        image_size=112,
        num_classes=200,
        width_divisor=4,
    ),
    "vgg16_tiny": Architecture(
        "vgg.vgg16",
        "conv5_3",
        "vgg16_tiny.npy",
        ends=_VGG,
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
        raise UnknownName(f"no network {name!r}; the networks are {', '.join(NETWORKS)}")
    return NETWORKS[name]


def find_weights(name: str) -> pathlib.Path:
    """The file with a known network's weights.

    Raises:
        KeyError: no such network.
        FileNotFoundError: the file is in none of the folders; the message says where to get it.
    """
    entry = architecture(name)
    path = files.find(entry.file)
    if path is None:
        raise MissingFile(
            f"no weights for {name}: fetch them with 'gradcam download {name}', or put {entry.file} into ./weights or "
            f"the folder that GRADCAM_WEIGHTS names, or give a file's path"
        )
    return path
