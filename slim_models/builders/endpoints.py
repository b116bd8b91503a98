"""How many layers of a kind each family's networks have, and so what their endpoints are called; without TensorFlow."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence

VGG_CONVOLUTIONS = {"vgg16": (2, 2, 3, 3, 3), "vgg19": (2, 2, 4, 4, 4)}  # of the five blocks
RESNET_UNITS = {"50": (3, 4, 6, 3), "101": (3, 4, 23, 3)}  # of the four blocks
MOBILENET_PAIRS = 13
LITE_STAGES = (1, 2, 2, 3, 3, 4, 1)  # units of EfficientNet-B0, before the factor of a variant
LITE_FACTORS = (1.0, 1.1, 1.2, 1.4, 1.8)  # of the units, of EfficientNet-Lite0 to 4


def lite_units(factor: float) -> list[int]:
    """The units of each stage of an EfficientNet-Lite: rounded up, but for the first and the last stage's."""
    first, *inner, last = LITE_STAGES
    return [first, *(math.ceil(count * factor) for count in inner), last]


def endpoint_names(function: str) -> list[str]:
    """The keys of `Network.endpoints`, in their order.

    Args:
        function: as of `Architecture`: a module of this folder and its function, `"vgg.vgg16"`.
    """
    family, _, name = function.partition(".")
    if family == "vgg":
        return list(_of_vgg(VGG_CONVOLUTIONS[name.removesuffix("_torchvision")]))
    if family == "resnet_v1":
        return list(_of_resnet(RESNET_UNITS[name.removesuffix("_caffe").rpartition("_")[2]]))
    if family == "mobilenet_v1":
        numbers = range(1, MOBILENET_PAIRS + 1)
        return ["Conv2d_0", *(f"Conv2d_{n}_{kind}" for n in numbers for kind in ("depthwise", "pointwise"))]
    return list(_of_lite(lite_units(LITE_FACTORS[int(name.removeprefix("efficientnet_lite"))])))


def _of_vgg(convolutions: Sequence[int]) -> Iterator[str]:
    for number, count in enumerate(convolutions, start=1):
        yield from (f"conv{number}_{i}" for i in range(1, count + 1))
        yield f"pool{number}"


def _of_resnet(units: Sequence[int]) -> Iterator[str]:
    yield from ("conv1", "pool1")
    for number, count in enumerate(units, start=1):
        yield from (f"block{number}/unit_{unit}" for unit in range(1, count + 1))
        yield f"block{number}"


def _of_lite(units: Sequence[int]) -> Iterator[str]:
    """Of its blocks only those that end in a sum: all but the first of a stage."""
    yield "conv_stem"
    block = itertools.count()
    for count in units:
        numbers = [next(block) for _ in range(count)]
        yield from (f"block_{number}" for number in numbers[1:])
    yield "conv_head"
