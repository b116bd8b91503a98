"""Which preprocessing a network was trained with, by the one under which it recognises photographs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import tensorflow.compat.v1 as tf

from slim_models import files
from slim_models.builders import PREPROCESSINGS
from slim_models.loading.batch_norms import divergence, first_statistics
from slim_models.loading.passes import Say
from slim_models.mistakes import BadValue, MissingFile
from slim_models.network import Network

_PHOTOGRAPHS = "photographs.npz"
_LEAST = 0.05  # the probability below which nothing was recognised
_MOST = 0.5  # the divergence, in nats, above which the first batch norm sees what it is not used to
_NEAR = 1.5  # a network knows the photographs nearly as well in false colours, or in other contrast


class Trial(NamedTuple):
    """What a network makes of our photographs under a preprocessing.

    Attributes:
        probability: that they show what they do, as a geometric mean; None if it has no such classes.
        divergence: of what the first batch norm sees from what it saw in training, in nats; None without one.
    """

    probability: float | None
    divergence: float | None


def recognised(network: Network, wnids: Sequence[str], bgr: bool, say: Say) -> str:
    """The preprocessing under which a network recognises three photographs best.

    Of several under which it does so nearly as well, it is the one that its first batch norm is used to, or where
    there is none the most usual. If it does not know what they show, the batch norm alone decides.

    Args:
        network: without preprocessing (`"none"`).
        wnids: of its classes, in the order of the logits; empty if they are not known.
        bgr: whether networks of this kind take BGR, as a rule.
        say: is told what was found, and how well.

    Returns:
        A key of `PREPROCESSINGS`.

    Raises:
        ValueError: it recognises them under none, or knows neither what they show nor has a batch norm.
    """
    trials = _trials(network, *photographs(wnids))
    chosen, *others = ranked(trials, bgr)
    if not _convinces(trials[chosen]):
        raise BadValue(
            "what is done with pixels before the graph cannot be told, as under no preprocessing it knows our "
            f"photographs (at best: {_text(trials[chosen])}); give preprocessing, one of {', '.join(PREPROCESSINGS)}"
        )
    say(
        f"preprocessing: {chosen} (guessed by photographs: {_text(trials[chosen])}; "
        f"with {others[0]}: {_text(trials[others[0]])})"
    )
    return chosen


def _convinces(trial: Trial) -> bool:
    if trial.probability is not None:
        return trial.probability > _LEAST
    return trial.divergence is not None and trial.divergence < _MOST


def _text(trial: Trial) -> str:
    recognised = [] if trial.probability is None else [f"recognised at {trial.probability:.0%}"]
    seen = [] if trial.divergence is None else [f"{trial.divergence:.2g} nats off its first batch norm"]
    return ", ".join(recognised + seen) or "no evidence"


def ranked(trials: Mapping[str, Trial], bgr: bool) -> list[str]:
    """The preprocessings, the likeliest first.

    Args:
        trials: of each.
        bgr: as of `recognised`.
    """
    custom = list(PREPROCESSINGS)
    if bgr:
        custom.insert(0, custom.pop(custom.index("caffe_bgr")))
    probabilities = {name: 1.0 if trial.probability is None else trial.probability for name, trial in trials.items()}
    least = max(probabilities.values()) / _NEAR
    orders = {
        name: probabilities[name] for name in ("subtract_mean", "caffe_bgr")
    }  # alike but for the order of channels

    def surprise(name: str) -> float:
        divergence = trials[name].divergence
        if divergence is not None:
            return round(divergence, 2)  # hundredths of a nat are the photographs', not the preprocessing's
        alike = name in orders and max(orders.values()) < _NEAR * min(orders.values())
        return -max(orders.values()) if alike else -probabilities[name]

    near = [name for name in trials if probabilities[name] > least]
    others = [name for name in trials if probabilities[name] <= least]
    return sorted(near, key=lambda name: (surprise(name), custom.index(name))) + sorted(
        others, key=lambda name: -probabilities[name]
    )


def _trials(network: Network, pictures: np.ndarray, classes: Sequence[Sequence[int]]) -> dict[str, Trial]:
    session = network.values.session or tf.Session(graph=network.graph)
    try:
        network.values.fill(session, network)
        return {name: _trial(network, session, prepare(pictures, network, name), classes) for name in PREPROCESSINGS}
    finally:
        if session is not network.values.session:
            session.close()


def _probability(logits: np.ndarray, classes: Sequence[Sequence[int]]) -> float:
    """The geometric mean of the probabilities of what the pictures show."""
    exponentials = np.exp(logits.astype(np.float64) - logits.max(axis=1, keepdims=True))
    probabilities = exponentials / exponentials.sum(axis=1, keepdims=True)
    sums = [row[list(indices)].sum() for row, indices in zip(probabilities, classes)]
    return float(np.exp(np.mean(np.log(np.maximum(sums, 1e-12)))))


def prepare(pictures: np.ndarray, network: Network, name: str) -> np.ndarray:
    """Pictures in the network's size, as a preprocessing makes them."""
    with tf.Graph().as_default(), tf.Session() as session:
        # What shrinks is averaged, what grows interpolated.
        shrinks = network.image_size[0] < pictures.shape[1]
        resize = tf.raw_ops.ResizeArea if shrinks else tf.raw_ops.ResizeBilinear
        return session.run(PREPROCESSINGS[name](resize(images=tf.constant(pictures), size=network.image_size)))


def _trial(network: Network, session: tf.Session, inputs: np.ndarray, classes: Sequence[Sequence[int]]) -> Trial:
    statistics = first_statistics(network.images, network.logits)
    fetches = {"logits": network.logits, "statistics": statistics or ()}
    # One by one, each as often as the network's batch size asks.
    size = network.batch_size or 1
    runs = [session.run(fetches, {network.images: np.repeat(picture[None], size, axis=0)}) for picture in inputs]
    probability = _probability(np.concatenate([run["logits"][:1] for run in runs]), classes) if any(classes) else None
    if statistics is None:
        return Trial(probability, None)
    seen = np.concatenate([run["statistics"][0][:1] for run in runs])
    return Trial(probability, divergence(seen, *runs[0]["statistics"][1:]))


def photographs(wnids: Sequence[str]) -> tuple[np.ndarray, list[list[int]]]:
    """Our photographs that show one of the classes, or if none does all: `[P, 224, 224, 3]`, RGB in [0, 255].

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
    return pictures[known].astype(np.float32), [classes[number] for number in known]
