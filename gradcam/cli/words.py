"""What the words of flags mean, where it is more than a name."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from slim_models.mistakes import BadValue

if TYPE_CHECKING:
    from gradcam.targets import Target


def band_numbers(text: str) -> tuple[int, ...]:
    """What `--bands` says: numbers between commas.

    Raises:
        ValueError: it says something else.
    """
    words = text.split(",")
    if not all(word.strip().isdecimal() for word in words):
        raise BadValue(f"--bands are three numbers such as 3,2,1, or one, not {text!r}")
    return tuple(int(word) for word in words)


def targets_of(args: argparse.Namespace) -> list[Target]:
    """What `--target` and `--against` say.

    Raises:
        ValueError: it is not said what should be told from a class.
    """
    from gradcam.targets import Difference

    if args.against and not args.target:
        raise BadValue("--against needs a --target: the class that is to be told from it")
    if args.region and (args.against or not args.target):
        raise BadValue("--region needs a --target, a class in that part of a segmentation, and bears no --against")
    against = tuple(args.against or ())
    return [Difference(target, against) if against else target for target in args.target or ()]


def region_of(text: str) -> tuple[float, ...]:
    """The type of `--region`."""
    from gradcam.targets import is_box

    try:
        box = tuple(map(float, text.split(",")))
    except ValueError:
        box = ()
    if not is_box(box):
        raise argparse.ArgumentTypeError(
            f"{text!r} is no LEFT,TOP,RIGHT,BOTTOM in shares of the picture, such as 0.25,0.1,0.75,0.6"
        )
    return box
