"""The flags that say which network, and what is not to be found in it; and the network that they mean."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

import slim_models
from slim_models.mistakes import BadValue, Mistake

if TYPE_CHECKING:
    import numpy as np


def listed(names: Iterable[str], default: str | None = None) -> str:
    """The names in a sentence: `jet (default), turbo or hot`."""
    *first, last = (f"{name} (default)" if name == default else name for name in names)
    return f"{', '.join(first)} or {last}" if first else last


def add_prepared_flag(parser: argparse.ArgumentParser) -> None:
    """Of commands that take arrays."""
    parser.add_argument(
        "--prepared",
        action="store_true",
        help="the pictures are what the graph takes already, arrays of any range: nothing is done with them before",
    )


def add_network_flags(parser: argparse.ArgumentParser, required: bool = False) -> None:
    """The network, by name or by path; of one that is not ours, what could not be found in it."""
    parser.add_argument(
        "--network",
        required=required,
        metavar="NAME|PATH",
        help="a name (see gradcam networks), or the path of your own: a frozen graph, SavedModel, checkpoint with "
        ".meta or Keras model" + ("" if required else f" (default: {slim_models.DEFAULT_NETWORK})"),
    )
    parser.add_argument("--weights", metavar="PATH", help="default: the network's file in weights/, or what is at PATH")
    add_tensor_flags(parser)


def add_tensor_flags(parser: argparse.ArgumentParser, labels: str = "--labels") -> None:
    """What `slim_models.open_network` is told of a network; `labels`: what the flag of its classes is called."""
    from slim_models.labels import LISTS

    own = parser.add_argument_group("your own network", "what is not given is found out and printed")
    names = "a tensor, or what the network calls it: a Keras input, output or layer, or a signature's key"
    own.add_argument("--images-tensor", metavar="NAME", help=f"takes the pictures: {names}")
    own.add_argument("--logits-tensor", metavar="NAME", help="the logits, or the probabilities made of them; likewise")
    text = "another input's value, the same for every picture: a number, several as 1,2,3, true or false"
    own.add_argument(
        "--feed", action="append", type=fed_value, metavar="NAME=VALUE", help=f"{text}; may be given again"
    )
    text = "run code in a Keras file, and what reaches outside of a graph: it can do anything, so only if you trust it"
    own.add_argument("--trusted", action="store_true", help=text)
    text = (
        f"of RGB in [0, 255]: {listed(slim_models.PREPROCESSINGS)}, or numbers, for (RGB / scale - mean) / std, of "
        "each channel as R/G/B or one for all: mean=0.485/0.456/0.406,std=0.229/0.224/0.225,scale=255; order=BGR "
        "reverses the channels after that (defaults: 0, 1, 1, RGB)"
    )
    own.add_argument("--preprocessing", metavar="NAME|NUMBERS", help=text)
    own.add_argument(
        "--examples",
        metavar="DIR",
        help="some pictures of your own, in folders named by their classes, to tell the preprocessing by",
    )
    own.add_argument(
        labels,
        dest="network_labels",
        metavar="NAME|FILE",
        help=f"the classes, also of a network of ours: {', '.join(LISTS)}, or a file with a name a line",
    )
    own.add_argument("--head", metavar="NAME", help=f"what is made of the logits: {listed(slim_models.HEADS)}")
    own.add_argument("--image-size", type=int, metavar="PIXELS", help="where the network takes any size")
    add_averages_flag(parser)


def add_averages_flag(parser: argparse.ArgumentParser) -> None:
    """Which of the two values that a training has of every weight."""
    parser.add_argument(
        "--averages",
        action=argparse.BooleanOptionalAction,
        default=None,
        help="take the moving averages that a training has kept of its weights, or do not (default: for a network of "
        "ours where every weight has one; not in a graph of your own)",
    )


def fed_value(text: str) -> tuple[str, Any]:
    """The name and the value of an input, as a flag's type: `age=3`, `size=1,2.5`, `flag=true`."""
    name, equals, value = text.partition("=")
    if not (name and equals and value):
        raise argparse.ArgumentTypeError(f"{text!r} is no NAME=VALUE, such as age=3")
    words: list[Any] = [_number(word.strip()) for word in value.split(",")]
    return name, words[0] if len(words) == 1 else words


def _number(word: str) -> bool | int | float | str:
    """A number, true or false; whatever else is text."""
    if word.lower() in ("true", "false"):
        return word.lower() == "true"
    for kind in (int, float):
        try:
            return kind(word)
        except ValueError:
            continue
    return word


def chosen_network(
    args: argparse.Namespace,
    image_size: int | None = None,
    source: str | None = None,
    say: Callable[[str], None] | None = None,
) -> slim_models.Network:
    """The network that `--network` and `--weights` mean, with its values; what was guessed is printed.

    Args:
        args: of the command line.
        image_size: height and width of the images in pixels; None is what the flags or the network say.
        source: the first of the pictures, or a folder of them: if a preprocessing cannot be told, the message has
            what comes of each.
        say: is told what was guessed; None prints it.
    """
    ours, found = args.network in (None, *slim_models.NETWORKS), found_in(args)
    if source is not None and not ours and not (args.preprocessing or args.examples or args.prepared):
        found["examples"] = _unknown(source)
    return slim_models.open_network(
        args.network,
        args.weights,
        image_size=image_size or args.image_size,
        say=say or tell,
        layer=None if ours else args.layer,
        **found,
    )


def _unknown(source: str) -> list[tuple[np.ndarray, None]]:
    """A picture as an example whose class is not known; none if it cannot be read, which is told in its place."""
    from gradcam.pictures import expand, read_photograph

    try:
        return [(read_photograph(expand([source])[0]).pixels, None)]
    except Mistake:
        return []


def network_of(args: argparse.Namespace) -> slim_models.Network:
    """The network that a script's or a kind's flags mean, of photographs; what was guessed of it is printed."""
    found = found_in(args) if hasattr(args, "images_tensor") else {}
    size = getattr(args, "image_size", None)
    network = slim_models.open_network(args.network, args.weights, image_size=size, say=tell, **found)
    return network.check_photographs()


def found_in(args: argparse.Namespace) -> dict[str, Any]:
    """What the user says of a network, as `slim_models.open_network` takes it.

    Raises:
        ValueError: an input has two values, or there are no examples where they should be.
    """
    from gradcam.pictures import read_classes

    examples = read_classes(args.examples) if args.examples else None
    return {**found_words(args), "averages": args.averages, "examples": examples}


def found_words(args: argparse.Namespace) -> dict[str, Any]:
    """What the user says of a network alone, in words and numbers; errors as of `found_in`."""
    feed = dict(args.feed or ())
    if len(feed) < len(args.feed or ()):
        raise BadValue(f"--feed gives an input two values: {', '.join(name for name, _ in args.feed)}")
    names = {"images": args.images_tensor, "logits": args.logits_tensor, "prepared": getattr(args, "prepared", None)}
    words = {"preprocessing": args.preprocessing, "labels": args.network_labels, "head": args.head}
    return {**names, **words, "feed": feed or None, "trusted": args.trusted or None}


def tell(line: str) -> None:
    """Says something beside what a program prints."""
    print(line, file=sys.stderr)
