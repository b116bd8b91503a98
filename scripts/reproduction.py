"""What the reproduction scripts share: flags, networks, and what they write."""

from __future__ import annotations

import argparse
import json
import math
import pathlib
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from gradcam.terminal import quiet_tensorflow
from slim_models.mistakes import BadValue

with quiet_tensorflow():
    import slim_models
    from gradcam import figures, maps
    from gradcam.explainer import Explainer
    from gradcam.explanation import softmax
    from gradcam.pictures import Photograph
    from slim_models.files import whole_file
    from slim_models.labels import class_name

VGG, RESNET = "vgg16_tiny", "resnet_v1_50_tiny"
FIGURES = (".png", ".pdf", ".svg")
PAGE = 7.0  # inches: the width of text on a page, at which figures are readable when printed
PIXELS = 600  # longest side of a panel; what a network is fed is made of the photograph itself


def arguments(documentation: str | None, network: str, out: str) -> argparse.ArgumentParser:
    """A parser with the flags that every script has.

    Args:
        documentation: of the script.
        network: the default one.
        out: the figure's default name, `out/NAME.png`.
    """
    parser = argparse.ArgumentParser(description=documentation, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--network", default=network, metavar="NAME|PATH", help="ours, or your own (default: %(default)s)"
    )
    parser.add_argument("--weights", metavar="PATH", help="default: the network's file in weights/")
    parser.add_argument(
        "--out", type=figure_path, default=pathlib.Path(out), metavar="FILE", help="default: %(default)s"
    )
    return parser


def figure_path(text: str) -> pathlib.Path:
    """The name of a figure, as a flag's type: a mistake is told before hours of work."""
    path = pathlib.Path(text)
    if path.suffix.lower() not in FIGURES:
        raise argparse.ArgumentTypeError(f"{text!r} is no figure's name: it must end in {', '.join(FIGURES)}")
    return path


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


def open_network(name: str, weights: str | Mapping[str, np.ndarray] | None) -> slim_models.Network:
    """The network that a script's flags mean; what was guessed of the user's own is printed."""
    return slim_models.open_network(name, weights, say=lambda line: print(line, file=sys.stderr))


def open_explainer(name: str, weights: str | Mapping[str, np.ndarray] | None, **options: Any) -> Explainer:
    """The explainer of a network as `open_network` opens it, with options of `Explainer`."""
    return Explainer(open_network(name, weights), **options)


def row_title(explainer: Explainer, logits: np.ndarray, target: int) -> str:
    """A class and its probability, such as `espresso (93.0%)`, from the logits `[C]` of a picture."""
    return f"{class_name(target, explainer.labels)} ({percent(softmax(logits)[target])})"


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


def write(figure: figures.Figure, numbers: Mapping[str, Any], out: pathlib.Path) -> pathlib.Path:
    """Writes a figure, and beside it the numbers behind it as JSON, and prints both names.

    Args:
        figure: of matplotlib.
        numbers: what JSON can hold, and NumPy arrays and numbers.
        out: the figure's name.

    Returns:
        The figure's name.
    """
    figures.save_figure(figure, out)
    path = out.with_suffix(".json")
    with whole_file(path) as temporary:
        temporary.write_text(json.dumps(plain(numbers), indent=1, allow_nan=False) + "\n", encoding="utf-8")
    print(out, path, sep="\n")
    return out


def plain(value: Any) -> Any:
    """NumPy's arrays and numbers as JSON has them: to six digits, and null for what is not defined."""
    if isinstance(value, Mapping):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, np.ndarray)):
        return [plain(item) for item in value]
    value = value.item() if isinstance(value, np.generic) else value
    if isinstance(value, float):
        return float(f"{value:.6g}") if math.isfinite(value) else None
    return value


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
