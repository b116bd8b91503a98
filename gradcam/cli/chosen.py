"""The network that the command line's flags mean."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping

import numpy as np

import slim_models


def chosen_network(
    args: argparse.Namespace, image_size: int | None = None
) -> tuple[slim_models.Network, Mapping[str, np.ndarray] | None]:
    """The network that `--network` and `--weights` mean, and the weights; what was guessed is printed."""
    return slim_models.network_named(
        args.network,
        args.weights,
        image_size or args.image_size,
        say=tell,
        layer=None if args.network in slim_models.NETWORKS else args.layer,
        **options_of(args),
    )


def options_of(args: argparse.Namespace) -> dict[str, str | None]:
    """What the user says of a network that is not ours, as `slim_models.load` takes it."""
    names = {"images": args.images_tensor, "logits": args.logits_tensor}
    return {**names, "preprocessing": args.preprocessing, "labels": args.labels}


def tell(line: str) -> None:
    print(line, file=sys.stderr)
