"""Which preprocessing a network was trained with, by the one under which it recognises photographs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import tensorflow.compat.v1 as tf

from slim_models import files
from slim_models.builders import EXAMPLE, PREPROCESSINGS
from slim_models.loading.batch_norms import divergence, first_statistics
from slim_models.loading.passes import Say
from slim_models.mistakes import BadValue, MissingFile
from slim_models.network import Network

_PHOTOGRAPHS = "photographs.npz"
_SHOWN = "a portrait in uniform, a cup of coffee and a cat"
_LEAST = 0.05  # the probability below which nothing was recognised
_MOST = 0.5  # the divergence, in nats, above which the first batch norm sees what it is not used to
# A network knows the photographs nearly as well, or better, in false colours or in other contrast: two MobileNets of
# Google at odds twice as high as under their own; what was right had odds that were 5 times as high.
_NEAR = 3.0
# In nats: 0.07 against 0.18 was wrong (a network of grey faces, which our photographs are not). Other ranges are 0.3
# and more apart. Below 0.05 photographs are of the kind that the network knows, and twice as much is a difference.
_APART = 0.25
_ALIKE = 0.05
_ORDERS = ("subtract_mean", "caffe_bgr")  # alike but for the order of channels
# Networks that take [0, 255], less a mean or not, and those that take about [-1, 1].
_SCALES = {
    "pixels in [0, 255]": ("none", *_ORDERS),
    "about [-1, 1]": ("minus_one_to_one", "zero_to_one", "standardized"),
}
# What is tried: who takes raw BGR has the mean to subtract in the graph, where it is found.
_TRIED = tuple(name for name in PREPROCESSINGS if name != "bgr")


class Trial(NamedTuple):
    """What a network makes of our photographs under a preprocessing.

    Attributes:
        probability: that they show what they do, as a geometric mean; None if it has no such classes.
        divergence: of what the first batch norm sees from what it saw in training, in nats; None without one.
        predicted: of each photograph the likeliest class, and how likely it is.
    """

    probability: float | None
    divergence: float | None
    predicted: Sequence[tuple[int, float]] = ()


def recognised(
    network: Network, wnids: Sequence[str], bgr: bool, say: Say, choices: Sequence[str] = tuple(PREPROCESSINGS)
) -> str:
    """The preprocessing under which a network recognises three photographs best.

    Of several under which it does so nearly as well, it is the one that its first batch norm is used to. If it does not
    know what they show, the batch norm alone decides. Of orders of channels that are alike it is the usual one.

    Args:
        network: without preprocessing (`"none"`).
        wnids: of its classes, in the order of the logits; empty if they are not known.
        bgr: whether networks of this kind take BGR, as a rule.
        say: is told what was found, and how well.
        choices: the preprocessings to try.

    Returns:
        A key of `PREPROCESSINGS`.

    Raises:
        ValueError: it recognises them under none, or knows neither what they show nor has a batch norm; or several
            preprocessings are too close to call.
    """
    trials = _trials(network, *photographs(wnids), choices)
    chosen, *others = ranked(trials, bgr)
    if not _convinces(trials[chosen]):
        best = f"under no preprocessing it knows our photographs (at best: {_text(trials[chosen])})"
        raise BadValue(_untold(best, trials))
    close = [name for name in others if too_close(chosen, name, trials)]
    if set(close) - set(_ORDERS) or (close and chosen not in _ORDERS):
        names = (chosen, *close)
        scale = next((text for text, alike in _SCALES.items() if set(names) <= set(alike)), "")
        only = f", and only its scale is certain, {scale}" if scale else ""
        raise BadValue(_untold(f"{', '.join(names)} are too close to call{only}", trials))
    order = "; in which order it takes the channels is not certain" if close else ""
    say(
        f"preprocessing: {chosen} (guessed by photographs: {_text(trials[chosen])}; "
        f"with {others[0]}: {_text(trials[others[0]])}{order})"
    )
    return chosen


def too_close(chosen: str, other: str, trials: Mapping[str, Trial]) -> bool:
    """Whether the evidence for a preprocessing is not enough to rule another out."""
    best, trial = trials[chosen], trials[other]
    near = best.probability is None or _odds(trial) * _NEAR > _odds(best)
    if best.divergence is None or trial.divergence is None:
        return near
    apart = _APART if best.divergence > _ALIKE else best.divergence
    return near and trial.divergence - best.divergence < apart


def _odds(trial: Trial) -> float:
    probability = 0.5 if trial.probability is None else min(trial.probability, 1 - 1e-9)
    return probability / (1 - probability)


def _convinces(trial: Trial) -> bool:
    if trial.probability is not None:
        return trial.probability > _LEAST
    return trial.divergence is not None and trial.divergence < _MOST


def _text(trial: Trial) -> str:
    recognised = [] if trial.probability is None else [f"recognised at {trial.probability:.0%}"]
    seen = [] if trial.divergence is None else [f"{trial.divergence:.2g} nats off its first batch norm"]
    return ", ".join(recognised + seen) or "no evidence"


def _untold(reason: str, trials: Mapping[str, Trial]) -> str:
    """The error: why, what comes of each choice, and how to choose."""
    tried = []
    for name, trial in trials.items():
        classes = ", ".join(f"{number} ({probability:.0%})" for number, probability in trial.predicted)
        known = trial.probability is not None or trial.divergence is not None
        tried.append(f"with {name} {classes}{f' [{_text(trial)}]' if known else ''}")
    return (
        f"what is done with pixels before the graph cannot be told, as {reason}; the likeliest classes of our "
        f"photographs, of {_SHOWN}, are {'; '.join(tried)}; give preprocessing, one of {', '.join(trials)}, "
        f"or numbers such as {EXAMPLE} (the flag --preprocessing)"
    )


def ranked(trials: Mapping[str, Trial], bgr: bool) -> list[str]:
    """The preprocessings, the likeliest first.

    Args:
        trials: of each.
        bgr: as of `recognised`.
    """
    custom = list(PREPROCESSINGS)
    if bgr:
        custom.insert(0, custom.pop(custom.index("caffe_bgr")))
    odds = {name: _odds(trial) for name, trial in trials.items()}
    least = max(odds.values()) / _NEAR
    orders = {name: odds[name] for name in _ORDERS if name in odds}

    def surprise(name: str) -> float:
        divergence = trials[name].divergence
        if divergence is not None:
            return round(divergence, 2)  # hundredths of a nat are the photographs', not the preprocessing's
        alike = name in orders and max(orders.values()) < _NEAR * min(orders.values())
        return -max(orders.values()) if alike else -odds[name]

    near = [name for name in trials if odds[name] > least]
    others = [name for name in trials if odds[name] <= least]
    return sorted(near, key=lambda name: (surprise(name), custom.index(name))) + sorted(
        others, key=lambda name: -odds[name]
    )


def _trials(
    network: Network, pictures: np.ndarray, classes: Sequence[Sequence[int]], choices: Sequence[str]
) -> dict[str, Trial]:
    statistics = first_statistics(network.images, network.logits)
    session = network.values.session or tf.Session(graph=network.graph)

    def trial(name: str) -> Trial:
        return _trial(network, session, statistics, prepare(pictures, network, name), classes)

    try:
        network.values.fill(session, network)
        return {name: trial(name) for name in choices if name in _TRIED}
    finally:
        if session is not network.values.session:
            session.close()


def _probabilities(logits: np.ndarray, head: str) -> np.ndarray:
    """`[P, C]`: of each class under a sigmoid, else by the softmax."""
    logits = logits.astype(np.float64)
    if head == "sigmoid":
        return 1 / (1 + np.exp(-np.clip(logits, -500, 500)))
    exponentials = np.exp(logits - logits.max(axis=1, keepdims=True))
    return exponentials / exponentials.sum(axis=1, keepdims=True)


def _probability(logits: np.ndarray, classes: Sequence[Sequence[int]]) -> float:
    """The geometric mean of the probabilities of what the pictures show."""
    sums = [row[list(indices)].sum() for row, indices in zip(_probabilities(logits, "softmax"), classes)]
    return float(np.exp(np.mean(np.log(np.maximum(sums, 1e-12)))))


def prepare(pictures: np.ndarray, network: Network, name: str) -> np.ndarray:
    """Pictures in the network's size, as a preprocessing makes them."""
    with tf.Graph().as_default(), tf.Session() as session:
        # What shrinks is averaged, what grows interpolated.
        shrinks = network.image_size[0] < pictures.shape[1]
        resize = tf.raw_ops.ResizeArea if shrinks else tf.raw_ops.ResizeBilinear
        return session.run(PREPROCESSINGS[name](resize(images=tf.constant(pictures), size=network.image_size)))


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
    logits = np.concatenate([run["logits"][:1] for run in runs])
    rows = _probabilities(logits, network.head)
    predicted = [(int(row.argmax()), float(row.max())) for row in rows]
    probability = _probability(logits, classes) if any(classes) else None
    if statistics is None:
        return Trial(probability, None, predicted)
    seen = np.concatenate([run["statistics"][0][:1] for run in runs])
    return Trial(probability, divergence(seen, *runs[0]["statistics"][1:]), predicted)


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
