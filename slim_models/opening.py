"""What a user calls a network -> the network with its values: the one way in, by a name of ours or by a path."""

from __future__ import annotations

import dataclasses
import math
import os
import warnings
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from slim_models.builders import NETWORKS, architecture, build, build_for, find_weights
from slim_models.mistakes import MissingFile
from slim_models.naming import meant
from slim_models.network import Network
from slim_models.sizes import Size
from slim_models.weights import Stored, evaluated_weights, fitted

if TYPE_CHECKING:
    from slim_models.loading import Inspection

Weights = Mapping[str, np.ndarray]


def open_network(
    name_or_path: Any = None,
    weights: str | os.PathLike | Weights | None = None,
    *,
    image_size: Size | None = None,
    averages: bool | None = None,
    say: Callable[[str], object] | None = None,
    **found: Any,
) -> Network:
    """The network that a user means, with its values.

        network = slim_models.open_network()
        network = slim_models.open_network("vgg16")
        network = slim_models.open_network("vgg16", "fine_tuned.npy", labels="names.txt")
        network = slim_models.open_network("frozen.pb", preprocessing="zero_to_one")

    Args:
        name_or_path: a key of `NETWORKS`, or anything that `load` takes: a path, a Keras model, a session. None is
            EfficientNet-Lite0, or the embedded ResNet where the package with its weights is missing, which is said.
        weights: a file that `read_weights` reads, or its arrays; None is the network's own. The number of classes and
            the width of a network of ours follow from them. Of a Keras model's layers (`.json`) what `save_weights`
            wrote.
        image_size: height and width of the images in pixels, or the two of them; None is the network's own.
        averages: whether the values are the moving averages that a training has kept of its weights. None takes them
            for a network of ours if there is one of every trained weight, and a graph of anybody's as it computes.
        say: is told in lines what was found or guessed of a network that is not ours, or of weights; None is silent,
            but for a warning of a network that takes another's place.
        found: what need not be found, as arguments of `load` (`images`, `logits`, `layer`, `preprocessing`, ...), and
            what it needs (`examples`, `feed`, `custom_objects`, `trusted`, ...); of a network of ours, `labels`. What
            is None, or False, is as good as not given.

    Raises:
        FileNotFoundError: there is no file of weights.
        KeyError: neither a name nor a path.
        ValueError: a file is not what it should be, or something has no meaning for a network of ours.
    """
    chosen = meant(name_or_path, weights, found, say or warnings.warn)
    name_or_path, weights, given = chosen.network, chosen.weights, dict(chosen.found)
    if chosen.entry is not None:
        if not isinstance(weights, Mapping):
            assert weights is not None  # of a network of ours they are always known
            weights, averages = evaluated_weights(weights, averages, say), None
        weights = fitted(weights, chosen.entry.ends, averages, say)
        network = build_for(name_or_path, weights, image_size, **given)
        return dataclasses.replace(network, values=Stored(weights, said=chosen.origin))
    from slim_models.loading import load  # a tenth of a second that networks of ours need not take

    of_keras = isinstance(name_or_path, (str, os.PathLike)) and os.fspath(name_or_path).lower().endswith(".json")
    if of_keras and isinstance(weights, (str, os.PathLike)):  # whose layers are in one file and weights in another
        return load(name_or_path, weights=weights, image_size=image_size, averages=averages, say=say, **given)
    if weights is None:
        return load(name_or_path, image_size=image_size, averages=averages, say=say, **given)
    network = load(name_or_path, image_size=image_size, say=say, **given)
    arrays = weights if isinstance(weights, Mapping) else evaluated_weights(weights, averages, say)
    return dataclasses.replace(network, values=Stored(arrays, network.values.session, chosen.origin))


def inspect(name_or_path: str | os.PathLike, **given: Any) -> Inspection:
    """Everything that is found in a file, also in one that cannot be explained as it is, or not at all.

        print(slim_models.inspect("frozen.pb").preprocessing)

    Args:
        name_or_path: a key of `NETWORKS`, or a path of anything.
        given: what need not be found, as of `load`; of a path alone.

    Returns:
        What was found, and in its `problem` why it cannot be explained and what to do.

    Raises:
        FileNotFoundError: there is nothing at that path.
        KeyError, ValueError: what is given cannot be.
    """
    from slim_models.loading import FoundTensor, Inspection, inspected, look_at_network

    if not isinstance(name_or_path, str) or name_or_path not in NETWORKS:
        return inspected(name_or_path, **{name: value for name, value in given.items() if value is not None})
    entry, network = architecture(name_or_path), build(name_or_path)
    shapes = network.weight_shapes()
    result = Inspection(
        name_or_path,
        "network of ours",
        inputs=[FoundTensor(network.images.name, network.images.shape.as_list(), "float32", chosen=True)],
        outputs=[FoundTensor(network.logits.name, network.logits.shape.as_list(), "float32", chosen=True)],
        head=network.head,
        num_classes=network.num_classes,
        labels=list(network.labels.names) if network.labels else None,
        preprocessing=entry.preprocessing,
        parameters=sum(math.prod(shape) for shape in shapes.values()),
        evidence={"labels": entry.labels, "preprocessing": "as it was trained, inside of its graph"},
    )
    look_at_network(result, network)
    try:
        path = find_weights(name_or_path)
        parts = [path] if path.is_file() else list(path.parent.glob(f"{path.name}.*"))
        result.size, result.evidence = (
            sum(part.stat().st_size for part in parts),
            {**result.evidence, "weights": str(path)},
        )
    except MissingFile as missing:
        result.problem = str(missing)
    return result


def network_named(
    word: str,
    weights: str | os.PathLike | Weights | None = None,
    image_size: int | None = None,
    *,
    say: Callable[[str], object] | None = print,
    **options: Any,
) -> tuple[Network, Weights | None]:
    """Deprecated: `open_network`, whose network has its values itself; here as a pair with its arrays."""
    warnings.warn("network_named is open_network now, which returns the network", DeprecationWarning, stacklevel=2)
    network = open_network(word, weights, image_size=image_size, say=say, **options)
    return network, network.values.arrays()
