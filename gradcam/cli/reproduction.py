"""What the scripts that make figures share: flags, explainers, titles and panels."""

from __future__ import annotations

import argparse
import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np

import slim_models
from gradcam import figures
from gradcam.cli import flags, network_flags
from gradcam.explainer import Explainer
from gradcam.pictures import Photograph, resize
from gradcam.terminal import Parser
from slim_models.heads import in_words, said_of
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
    parser = Parser(description=documentation, formatter_class=argparse.RawDescriptionHelpFormatter)
    flags.add_run_flags(parser, network, out)
    flags.add_look_flags(parser, "all of one network, layer and method by the largest")
    return parser


def parsed(parser: argparse.ArgumentParser, argv: Sequence[str] | None) -> argparse.Namespace:
    """What the flags say, with the `look` of heat maps; argv None are the process's own."""
    args = parser.parse_args(argv)
    args.look = flags.look_of(args)
    return args


def drawn(
    args: argparse.Namespace, rows: Sequence[figures.Panels], titles: Sequence[str], remarks: Sequence[str]
) -> figures.Figure:
    """A figure of a page's width, as the flags say; arguments as of `figures.grid`."""
    columns = max(map(len, rows))
    return figures.grid(rows, titles, panel=PAGE / columns, look=args.look, scale=args.scale, remarks=remarks)


def facts(explainer: Explainer) -> dict[str, str]:
    """What JSON says that a figure is of: network, weights and default layer."""
    made = explainer.provenance()
    return {"network": made["network"], "weights": made["weights"], "layer": explainer.network.default_layer}


def about(explainer: Explainer) -> str:
    """The sentence below a figure that says the same."""
    return figures.about(explainer.provenance(), [explainer.network.default_layer])


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
    return Explainer(open_network(name, weights), **options)


def open_network(name: str | None, weights: str | None) -> slim_models.Network:
    """A network of photographs by name or path; what was guessed is printed."""
    return slim_models.open_network(name, weights, say=network_flags.tell).check_photographs()


def last_of_each_size(network: slim_models.Network) -> list[str]:
    """The layers of a network after which its maps get smaller, down to the default layer."""
    names = list(network.endpoints)
    names = names[: names.index(network.default_layer) + 1]
    sizes = {tuple(network.endpoints[name].shape.as_list()[1:3]): name for name in names}  # the last of a size stays
    return [name for name in names if name in sizes.values()]


def row_title(explainer: Explainer, logits: np.ndarray, target: int) -> str:
    """A class and its probability, such as `espresso (93.0%)`, or number, from the logits `[C]` of a picture."""
    return f"{class_name(target, explainer.labels)} ({said(explainer, logits, target)})"


def said(explainer: Explainer, logits: np.ndarray, target: int) -> str:
    """The probability of a class alone, `93.0%`, or its number, from the logits `[C]` of a picture."""
    head = explainer.network.head
    return in_words(float(said_of(logits, head, explainer.network.one_output)[target]), head)


def sized(photograph: Photograph, least: int = 0) -> Photograph:
    """The photograph at a panel's size, no side below `least` pixels: maps are not drawn coarser than they are."""
    shrunk = photograph.shrunk(PIXELS)
    scale = max(1, least / min(shrunk.pixels.shape[:2]))
    height, width = (round(scale * side) for side in shrunk.pixels.shape[:2])
    return dataclasses.replace(shrunk, pixels=resize(shrunk.pixels, (height, width)))


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
