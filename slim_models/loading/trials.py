"""What a network makes of pictures under each preprocessing."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
import tensorflow.compat.v1 as tf

from slim_models import files
from slim_models.builders import PREPROCESSINGS
from slim_models.heads import overall, sigmoid, softmax
from slim_models.loading.batch_norms import divergence, first_statistics
from slim_models.mistakes import MissingFile
from slim_models.network import Network
from slim_models.running import new_session

_PHOTOGRAPHS = "photographs.npz"
# What is tried: who takes raw BGR has the mean to subtract in the graph, where it is found.
_TRIED = tuple(name for name in PREPROCESSINGS if name != "bgr")


class Trial(NamedTuple):
    """What a network makes of pictures under a preprocessing.

    Attributes:
        probability: that they show what they do, as a geometric mean; None if it is not known what they show.
        divergence: of what the first batch norm sees from what it saw in training, in nats; None without one.
        predicted: of each picture the likeliest class, and how likely it is.
        right: the share of pictures whose likeliest class is what they show; None as of `probability`.
        spread: the standard deviation of a picture's logits, as a median over the pictures; None if they are numbers.
    """

    probability: float | None
    divergence: float | None
    predicted: Sequence[tuple[int, float]] = ()
    right: float | None = None
    spread: float | None = None


def trials(
    network: Network, pictures: Sequence[np.ndarray], classes: Sequence[Sequence[int]], choices: Iterable[str]
) -> dict[str, Trial]:
    """Tries preprocessings.

    Args:
        network: without preprocessing (`"none"`).
        pictures: `[h, w, 3]` each, of any size, RGB in [0, 255].
        classes: of each picture those that it shows; of all pictures none if that is not known.
        choices: keys of `PREPROCESSINGS`.
    """
    statistics = first_statistics(network.images, network.logits)
    session = network.values.session or new_session(network.graph)
    names = [name for name in _TRIED if name in choices]
    try:
        network.values.fill(session, network)
        prepared = prepare(pictures, network.image_size, names)
        return {name: _trial(network, session, statistics, prepared[name], classes) for name in names}
    finally:
        if session is not network.values.session:
            session.close()


def prepare(pictures: Sequence[np.ndarray], size: tuple[int, int], names: Sequence[str]) -> dict[str, np.ndarray]:
    """Pictures in a network's size, `[P, height, width, 3]`, as each of the preprocessings makes them."""
    with tf.Graph().as_default(), new_session() as session:
        fed = tf.placeholder(tf.float32, [1, None, None, 3])
        # What shrinks is averaged, what grows interpolated.
        resized = [resize(images=fed, size=size) for resize in (tf.raw_ops.ResizeBilinear, tf.raw_ops.ResizeArea)]
        prepared = [{name: PREPROCESSINGS[name](images) for name in names} for images in resized]
        made = [session.run(prepared[size[0] < len(p)], {fed: p[None]}) for p in pictures]
        return {name: np.concatenate([one[name] for one in made]) for name in names}


def _trial(
    network: Network,
    session: tf.Session,
    statistics: Sequence[tf.Tensor] | None,
    inputs: np.ndarray,
    classes: Sequence[Sequence[int]],
) -> Trial:
    """Of pictures as a preprocessing makes them, each on its own; `statistics` as of `first_statistics`."""
    fetches = {"logits": network.logits, "statistics": statistics or ()}
    # One by one, each as often as the network's batch size asks.
    size = network.batch_size or 1
    runs = [session.run(fetches, {network.images: np.repeat(picture[None], size, axis=0)}) for picture in inputs]
    logits = np.concatenate([run["logits"][:1] for run in runs]).astype(np.float64)
    # Of a linear head too, so that its outputs are compared.
    rows = overall(sigmoid(logits) if network.head == "sigmoid" else softmax(logits))
    predicted = [(int(row.argmax()), float(row.max())) for row in rows]
    probability = right = None
    if any(classes):
        sums = [row[list(indices)].sum() for row, indices in zip(overall(softmax(logits)), classes)]
        probability = float(np.exp(np.mean(np.log(np.maximum(sums, 1e-12)))))
        right = float(np.mean([index in indices for (index, _), indices in zip(predicted, classes)]))
    spread = None if network.head == "linear" else float(np.median(logits.std(axis=-1)))
    if statistics is None:
        return Trial(probability, None, predicted, right, spread)
    seen = np.concatenate([run["statistics"][0][:1] for run in runs])
    return Trial(probability, divergence(seen, *runs[0]["statistics"][1:]), predicted, right, spread)


def photographs(wnids: Sequence[str]) -> tuple[list[np.ndarray], list[list[int]]]:
    """Our photographs that show one of the classes, or if none does all: `[224, 224, 3]` each, RGB in [0, 255].

    Args:
        wnids: of the classes, in their order.

    Returns:
        the pictures, and the classes that each shows.
    """
    path = files.carried(_PHOTOGRAPHS)
    if path is None:
        raise MissingFile(f"{_PHOTOGRAPHS} should be where the embedded networks are")
    with np.load(path, allow_pickle=False) as file:
        pictures, shown = file["images"], [text.split() for text in file["wnids"].tolist()]
    classes = [[wnids.index(wnid) for wnid in words if wnid in wnids] for words in shown]
    known = [number for number, indices in enumerate(classes) if indices] or list(range(len(classes)))
    return list(pictures[known].astype(np.float32)), [classes[number] for number in known]
