"""What the scripts that measure this project alone share: a network of any size, pictures, seconds and files."""

from __future__ import annotations

import argparse
import json
import pathlib
import sys
import time
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from gradcam.pictures import plain
from gradcam.terminal import quiet_tensorflow
from slim_models.weights import random_weights

with quiet_tensorflow():
    import slim_models
    from slim_models.files import whole_file

Weights = Mapping[str, np.ndarray]


def arguments(documentation: str | None) -> argparse.ArgumentParser:
    """A parser with the flags that say which network is measured."""
    parser = argparse.ArgumentParser(description=documentation, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--network", default="resnet_v1_50_tiny", metavar="NAME", help="default: %(default)s")
    text = "default: the network's file in weights/ or, where there is none, random weights"
    parser.add_argument("--weights", metavar="FILE", help=text)
    return parser


def positive(text: str) -> int:
    """A whole number from 1, as a flag's type."""
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text} is not a positive number")
    return number


def sized_network(name: str, path: str | None, image_size: int | None = None) -> tuple[slim_models.Network, Weights]:
    """A network and weights that fit it.

    Args:
        name: of the network.
        path: of the weights; None is the network's own file or, where there is none, random weights.
        image_size: height and width of its pictures; the weights are then random, since those of a file may
            fit one size only (VGG16's fc6). None is what the weights take.

    Raises:
        KeyError: no such network.
        OSError, ValueError: the file cannot be read.
    """
    try:
        weights = slim_models.read_weights(path or slim_models.find_weights(name))
    except FileNotFoundError:
        if path:
            raise
        network = slim_models.build(name, image_size=image_size)
        print(f"{name} at {network.image_size[0]} x {network.image_size[1]}: random weights", file=sys.stderr)
        return network, random_weights(network)
    if image_size is None:
        return slim_models.build_for(name, weights), weights
    shapes = {variable: array for variable, array in weights.items() if variable != "fc6/weights"}
    network = slim_models.build_for(name, shapes, image_size)
    return network, random_weights(network)


def pictures(count: int, network: slim_models.Network, seed: int = 0) -> np.ndarray:
    """Random pictures of the network's size: float32 `[count, H, W, 3]` in [0, 255]."""
    shape = (count, *network.image_size, 3)
    return np.random.default_rng(seed).uniform(0, 255, shape).astype(np.float32)


def timed(run: Callable[[], object], seconds: float, least: int) -> list[float]:
    """Seconds of each run, after two that do not count: as many as fit into `seconds`, but at least `least`."""
    for _ in range(2):  # the first of a new shape lets TensorFlow and oneDNN prepare themselves
        run()
    found: list[float] = []
    while len(found) < least or sum(found) < seconds:
        began = time.perf_counter()
        run()
        found.append(time.perf_counter() - began)
    return found


def write_json(numbers: Mapping[str, Any], path: pathlib.Path) -> None:
    """What JSON can hold, and NumPy's arrays and numbers, as a file that is whole or not there."""
    with whole_file(path) as temporary:
        temporary.write_text(json.dumps(plain(numbers), indent=1, allow_nan=False) + "\n", encoding="utf-8")
