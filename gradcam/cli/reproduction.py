"""What the scripts that make figures share: flags, explainers, titles and panels."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import Any

import numpy as np

import slim_models
from gradcam import maps
from gradcam.cli import flags, network_flags
from gradcam.explainer import Explainer
from gradcam.pictures import Photograph
from slim_models.heads import said_of
from slim_models.labels import class_name
from slim_models.mistakes import BadValue

VGG, RESNET = "vgg16_tiny", "resnet_v1_50_tiny"
PAGE = 7.0  # inches: the width of text on a page, at which figures are readable when printed
PIXELS = 600  # longest side of a panel; what a network is fed is made of the photograph itself


def arguments(
    documentation: str | None, network: str | Sequence[str | None] | None, out: str
) -> argparse.ArgumentParser:
    """A parser with the flags that every script has.

    Args:
        documentation: of the script.
        network: the default one, None for that of `open_network`; or several, of which the flags take any number.
        out: the figure's default name, `out/NAME.png`.
    """
    parser = argparse.ArgumentParser(description=documentation, formatter_class=argparse.RawDescriptionHelpFormatter)
    flags.add_run_flags(parser, network, out)
    return parser


def add_resnet(parser: argparse.ArgumentParser) -> None:
    """The flags of the second network, for figures that show a VGG16 and a ResNet."""
    parser.add_argument(
        "--resnet", default=RESNET, metavar="NAME|PATH", help="the second network (default: %(default)s)"
    )
    parser.add_argument("--resnet-weights", metavar="PATH", help="default: that network's file in weights/")


def add_images(parser: argparse.ArgumentParser, images: Sequence[str], classes: Sequence[str] | None) -> None:
    """The flags of figures of pictures and classes; None as classes are the predicted ones."""
    parser.add_argument(
        "--images",
        nargs="+",
        default=list(images),
        metavar="IMAGE",
        help=f"files or samples (default: {' '.join(images)})",
    )
    shown = "the predicted ones" if classes is None else ", ".join(classes)
    text = f"by index, WordNet id or name (default: {shown})"
    parser.add_argument("--classes", nargs="+", default=classes and list(classes), metavar="CLASS", help=text)


def open_explainer(name: str | None, weights: str | None, **options: Any) -> Explainer:
    """The explainer of a network by name or path, with options of `Explainer`; what was guessed is printed."""
    return Explainer(slim_models.open_network(name, weights, say=network_flags.tell).check_photographs(), **options)


def row_title(explainer: Explainer, logits: np.ndarray, target: int) -> str:
    """A class and its probability, such as `espresso (93.0%)`, or number, from the logits `[C]` of a picture."""
    head = explainer.network.head
    said = said_of(logits, head, explainer.network.one_output)[target]
    number = f"{said:.4g}" if head == "linear" else percent(said)
    return f"{class_name(target, explainer.labels)} ({number})"


def percent(probability: float) -> str:
    """A probability to a tenth of a percent, such as `93.0%`; one near 0 or 1 is not said to be 0 or 1."""
    if probability < 0.0005:
        return "<0.1%"
    return ">99.9%" if probability >= 0.9995 else f"{probability:.1%}"


def overlay(photograph: Photograph, cam: np.ndarray) -> np.ndarray:
    """A map `[h, w]`, >= 0, over the photograph, of a panel's size: uint8 `[H, W, 3]`."""
    photograph = photograph.shrunk(PIXELS)
    return photograph.overlay(photograph.heatmap(cam))


def signed(photograph: Photograph, saliency: np.ndarray) -> np.ndarray:
    """Signed saliency `[h, w, 3]` as a picture of the panel's size: uint8 `[H, W, 3]`, zero is mid-grey."""
    return maps.display(photograph.shrunk(PIXELS).place(saliency)[None])[0]


def same_classes(first: Explainer, second: Explainer, classes: Sequence[str]) -> list[int | str]:
    """Classes of one network as another takes them.

    Args:
        first: whose classes are meant.
        second: the other.
        classes: by index, WordNet id or name.

    Returns:
        WordNet ids where the networks' classes have them.

    Raises:
        KeyError: a class is none, or the second network does not have it.
        ValueError: nothing says which classes correspond.
    """
    indices = [first.index(target) for target in classes]
    if first.labels and second.labels:
        return [first.labels.wnids[index] for index in indices]
    if first.labels or second.labels or first.network.num_classes != second.network.num_classes:
        raise BadValue(f"{first.network.name} and {second.network.name} have different classes, not all with names")
    return list(indices)
