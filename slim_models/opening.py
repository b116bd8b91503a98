"""What a user calls a network -> the network: a name of ours, or the path of their own."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import numpy as np

from slim_models.builders import NETWORKS, build_for, find_weights
from slim_models.loading import exists, load
from slim_models.loading.passes import Say
from slim_models.network import Network
from slim_models.weights import read_weights

Weights = Mapping[str, np.ndarray]


def network_named(
    word: str,
    weights: str | os.PathLike | Weights | None = None,
    image_size: int | None = None,
    *,
    say: Say = print,
    **options: Any,
) -> tuple[Network, Weights | None]:
    """The network that a word means, and the weights for it.

    Args:
        word: a key of `NETWORKS`, or a path that `load` takes.
        weights: a file or its arrays; None is the network's own.
        image_size: height and width of the images in pixels; None is the network's own.
        say: is told what `load` found or guessed.
        options: of `load`; those that are None are not given.

    Returns:
        The network, and the arrays for its variables, None where the network has its own, as `Explainer` takes them.

    Raises:
        FileNotFoundError: there is no file of weights.
        KeyError: the word is neither a name nor a path.
        ValueError: a file is not what it should be, or an option has no meaning for a network of ours.
    """
    given = {name: value for name, value in options.items() if value is not None}
    if word in NETWORKS:
        if given:
            raise ValueError(f"{word} is a network of ours, whose tensors are known: it takes no {', '.join(given)}")
        arrays = weights if isinstance(weights, Mapping) else read_weights(weights or find_weights(word))
        return build_for(word, arrays, image_size), arrays
    if not exists(word):
        raise KeyError(
            f"no network {word!r}; the networks are {', '.join(NETWORKS)}, and there is no file of that name"
        )
    network = load(word, image_size=image_size, say=say, **given)
    return network, weights if weights is None or isinstance(weights, Mapping) else read_weights(weights)
