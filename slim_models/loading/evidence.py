"""Which preprocessing a network was trained with, by the one under which it recognises pictures."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from slim_models.builders import PREPROCESSINGS, example_for
from slim_models.labels import Labels
from slim_models.loading.passes import Say
from slim_models.loading.trials import Trial, photographs, trials
from slim_models.mistakes import BadValue
from slim_models.network import Network

_SHOWN = "our photographs, of a portrait in uniform, a cup of coffee and a cat,"
_LEAST = 0.05  # the probability below which nothing was recognised
_MOST = 0.5  # the divergence, in nats, above which the first batch norm sees what it is not used to
# A network knows the photographs nearly as well, or better, in false colours or in other contrast: two MobileNets of
# Google at odds twice as high as under their own; what was right had odds that were 5 times as high. Where the first
# batch norm sees what it is used to, a little more counts as near: the embedded ResNet knew them at odds 3.02 times as
# high in less than half of its contrast.
_NEAR, _NEAR_AND_USUAL = 3.0, 4.0
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
# The logits' standard deviation: of trained networks 2 to 16 in the range that they take, where pixels 255 times as
# large made it 280 and more, and such that are 255 times too small 0.1 and less.
_USUAL_SPREAD, _NO_SPREAD = (1.0, 60.0), (0.5, 120.0)
# Of the user's own pictures: what one that is not recognised at all says against a preprocessing at most, as the
# logarithm of a probability; and by how much all of them together must speak for one: odds of 20 to 1.
_UNKNOWN = 1e-3
_DECISIVE = math.log(20)
_MOST_SHOWN = 3  # of the pictures of which a message tells


def recognised(
    network: Network,
    labels: Labels | None,
    say: Say,
    choices: Sequence[str] = tuple(PREPROCESSINGS),
    usual: str | None = None,
    own: np.ndarray | None = None,
) -> str:
    """The preprocessing under which a network recognises three photographs best.

    Of several under which it does so nearly as well, it is the one that its first batch norm is used to, or else the
    usual one. If it does not know what they show, the batch norm alone decides. Of orders of channels that are alike it
    is the usual one.

    Args:
        network: without preprocessing (`"none"`).
        labels: of its classes; None if they are not known.
        say: is told what was found, and how well.
        choices: the preprocessings to try.
        usual: what networks of this kind are trained with, as a rule.
        own: a picture of the user's, `[h, w, 3]`, of which the message has what each choice makes of it.

    Returns:
        A key of `PREPROCESSINGS`.

    Raises:
        ValueError: it recognises them under none, or knows neither what they show nor has a batch norm; or several
            preprocessings are too close to call.
    """
    tried = trials(network, *photographs(labels.wnids if labels else ()), choices)

    def untold(reason: str) -> BadValue:
        theirs, whose = (trials(network, [own], [[]], choices), "your picture") if own is not None else (tried, _SHOWN)
        return BadValue(_untold(reason, tried, theirs, whose, labels))

    chosen, *others = ranked(tried, usual)
    if not _convinces(tried[chosen]):
        scale = scale_of(tried) if tried[chosen].probability is None and tried[chosen].divergence is None else None
        if scale is not None:
            likely = _SCALES[scale]
            tried = {name: tried[name] for name in sorted(tried, key=lambda name: name not in likely)}
            raise untold(f"only its scale is certain, by the size of its logits: {scale}")
        raise untold(f"under no preprocessing it knows our photographs (at best: {_text(tried[chosen])})")
    close = [name for name in others if too_close(chosen, name, tried)]
    doubt = ""
    if set(close) - set(_ORDERS) or (close and chosen not in _ORDERS):
        names = (chosen, *close)
        scale = next((text for text, alike in _SCALES.items() if set(names) <= set(alike)), "")
        if usual not in names or tried[chosen].probability is None:
            only = f", and only its scale is certain, {scale}" if scale else ""
            raise untold(f"{', '.join(names)} are too close to call{only}")
        others = [name for name in names if name != usual]
        chosen, doubt = usual, "; too close to call, and this is what networks of this kind take"
    elif close:
        doubt = "; in which order it takes the channels is not certain"
    say(
        f"preprocessing: {chosen} (guessed by photographs: {_text(tried[chosen])}; "
        f"with {others[0]}: {_text(tried[others[0]])}{doubt})"
    )
    return chosen


def by_examples(
    network: Network,
    examples: Sequence[tuple[np.ndarray, int]],
    labels: Labels | None,
    say: Say,
    choices: Sequence[str] = tuple(PREPROCESSINGS),
    usual: str | None = None,
) -> str:
    """The preprocessing under which a network recognises the user's own pictures best.

    Args:
        network: without preprocessing (`"none"`).
        examples: pictures, `[h, w, 3]` each, RGB in [0, 255], and their classes.
        labels: as of `recognised`.
        say: likewise.
        choices: likewise.
        usual: decides between orders of channels that are alike.

    Returns:
        A key of `PREPROCESSINGS`.

    Raises:
        ValueError: it recognises them under none, or under several too nearly as well.
    """
    pictures, classes = [picture for picture, _ in examples], [[index] for _, index in examples]
    tried = trials(network, pictures, classes, choices)
    order = list(PREPROCESSINGS) if usual is None else [usual, *PREPROCESSINGS]

    def known(name: str) -> float:
        return math.log(max(tried[name].probability or 0, _UNKNOWN)) * len(examples)

    chosen, *others = sorted(tried, key=lambda name: (-(tried[name].right or 0), -known(name), order.index(name)))
    whose, reason = f"your {len(examples)} examples", ""
    if (tried[chosen].right or 0) < min(0.6, 3 / network.num_classes):
        reason = f"under no preprocessing it recognises {whose} (at best: {tried[chosen].right:.0%} right)"
    close = [name for name in others if known(chosen) - known(name) < _DECISIVE and too_close(chosen, name, tried)]
    if close and {chosen, *close} != set(_ORDERS):
        reason = reason or f"{', '.join((chosen, *close))} are too close to call with {whose}, and more would help"
    if reason:
        raise BadValue(_untold(reason, tried, tried, whose, labels))
    if close:
        chosen, *others = sorted((chosen, *close), key=order.index)
    best, second = tried[chosen], tried[others[0]]
    say(
        f"preprocessing: {chosen} (found by {whose}: {best.right:.0%} right, {_text(best)}; "
        f"with {others[0]}: {second.right:.0%} right, {_text(second)})"
    )
    return chosen


def scale_of(tried: Mapping[str, Trial]) -> str | None:
    """Which of `_SCALES` a network takes, by the size of its logits; None where that does not tell.

    In the wrong one pixels are about 255 times too large or too small, and so is what a network without batch norm
    makes of them.
    """
    spreads = {
        scale: [trial.spread for name in names if (trial := tried.get(name)) and trial.spread is not None]
        for scale, names in _SCALES.items()
    }
    medians = {scale: float(np.median(found)) for scale, found in spreads.items() if found}
    (low, high), (least, most) = _USUAL_SPREAD, _NO_SPREAD
    usual = [scale for scale, spread in medians.items() if low <= spread <= high]
    possible = [scale for scale, spread in medians.items() if least <= spread <= most]
    return usual[0] if len(medians) == len(_SCALES) and usual == possible and len(usual) == 1 else None


def too_close(chosen: str, other: str, tried: Mapping[str, Trial]) -> bool:
    """Whether the evidence for a preprocessing is not enough to rule another out."""
    best, trial = tried[chosen], tried[other]
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


def _untold(
    reason: str, tried: Mapping[str, Trial], theirs: Mapping[str, Trial], whose: str, labels: Labels | None
) -> str:
    """The error: why, what comes of each choice, and how to choose.

    Args:
        reason: why nothing can be told.
        tried: the evidence.
        theirs: what the choices make of the pictures that the user is told of.
        whose: which pictures these are.
        labels: of the classes, if they are known.
    """
    lines = []
    for name, trial in theirs.items():
        classes = ", ".join(f"{_named(index, labels)} ({share:.0%})" for index, share in trial.predicted[:_MOST_SHOWN])
        known = _text(tried[name])
        lines.append(f"with {name} {classes}{f' [{known}]' if known != 'no evidence' else ''}")
    return (
        f"what is done with pixels before the graph cannot be told, as {reason}; the likeliest classes of {whose} are "
        f"{'; '.join(lines)}; give preprocessing, one of {', '.join(tried)}, or numbers such as "
        f"{example_for(tried)} (the flag --preprocessing), or pictures whose classes you know (--examples)"
    )


def _named(index: int, labels: Labels | None) -> str:
    return labels.name(index) if labels else str(index)


def ranked(tried: Mapping[str, Trial], usual: str | None = None) -> list[str]:
    """The preprocessings, the likeliest first.

    Args:
        tried: of each.
        usual: as of `recognised`.
    """
    custom = list(PREPROCESSINGS) if usual is None else [usual, *PREPROCESSINGS]
    odds = {name: _odds(trial) for name, trial in tried.items()}
    orders = {name: odds[name] for name in _ORDERS if name in odds}

    def surprise(name: str) -> float:
        divergence = tried[name].divergence
        if divergence is not None:
            return round(divergence, 2)  # hundredths of a nat are the photographs', not the preprocessing's
        alike = name in orders and max(orders.values()) < _NEAR * min(orders.values())
        return -max(orders.values()) if alike else -odds[name]

    def is_near(name: str) -> bool:
        seen = tried[name].divergence
        return odds[name] * (_NEAR if seen is None or seen > _ALIKE else _NEAR_AND_USUAL) > max(odds.values())

    near = [name for name in tried if is_near(name)]
    others = [name for name in tried if not is_near(name)]
    return sorted(near, key=lambda name: (surprise(name), custom.index(name))) + sorted(
        others, key=lambda name: -odds[name]
    )
