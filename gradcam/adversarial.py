"""Adversarial pictures: changes that nobody sees and that make a network sure of another class."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import numpy as np

from gradcam.pictures import checked_images
from slim_models.heads import sigmoid
from slim_models.mistakes import BadValue, UnknownName

if TYPE_CHECKING:  # for the types alone: nothing here needs TensorFlow
    from gradcam.explainer import Explainer

_DECAY = 0.9  # of the gradients that came before; 0 is Kurakin's method, 1 Dong's choice


@dataclasses.dataclass(frozen=True, eq=False)
class Perturbed:
    """A picture changed towards a class.

    Attributes:
        image: uint8 `[H, W, 3]`, RGB: whole grey levels, so that a lossless file is as adversarial.
        steps: taken to this picture; 0 is the picture as it was.
        probability: of the class that was aimed at.
        reached: whether that is the probability asked for.
    """

    image: np.ndarray
    steps: int
    probability: float
    reached: bool


def perturb(
    explainer: Explainer,
    image: np.ndarray,
    target: int | str,
    *,
    most: int = 4,
    steps: int = 100,
    probability: float = 0.9999,
) -> Perturbed:
    """Changes a picture by a few grey levels so that a network takes it for another class.

    Iterated signed gradients (Kurakin et al. 2017, arXiv 1607.02533, sec. 2.3: steps of one grey level, clipped to
    the bound) with momentum (Dong et al. 2018, arXiv 1710.06081, algorithm 1; without it the signs of many pixels
    flip to and fro). The gradient is that of `direction`, for the strongest other class of each step.

    Args:
        explainer: with the rule `backprop` in its saliency.
        image: `[H, W, 3]`, RGB in [0, 255], of the network's size.
        target: the class aimed at, by index, WordNet id or name.
        most: grey levels that a value may change by.
        steps: most steps; each is a run forward, and one forward and backward.
        probability: at which the search ends.

    Returns:
        The picture with the highest probability of all that were tried, which may be less than was asked for.

    Raises:
        KeyError: a name of no class or of several; an explainer without the rule `backprop`.
        ValueError: a target out of range, an image of another shape or range, a bound or a number of steps below 1,
            a probability outside (0, 1], or a network that takes arrays.
    """
    if min(most, steps) < 1:
        raise BadValue(f"most and steps must be at least 1, not {most} and {steps}")
    if not 0 < probability <= 1:
        raise BadValue(f"the probability must be above 0 and at most 1, not {probability}")
    index = explainer.index(target)
    image = _checked(image, explainer.network.check_photographs().image_size)
    low, high = np.ceil(np.maximum(image - most, 0)), np.floor(np.minimum(image + most, 255))
    momentum = np.zeros_like(image)
    # Integers: a dark picture of floating point would be taken for one in [0, 1].
    current = np.rint(image).astype(np.uint8)
    best, best_odds = Perturbed(current, 0, 0.0, False), -np.inf
    for step in range(steps + 1):
        logits = explainer.predict(current[None])[0]
        # Behind a sigmoid a class's logit is its log-odds, whatever the others are.
        odds = float(logits[index]) if explainer.network.head == "sigmoid" else _log_odds(logits, index)
        if odds > best_odds:
            found = float(sigmoid(np.array(odds)))
            best, best_odds = Perturbed(current, step, found, found >= probability), odds
        if best.reached or step == steps:
            break
        gradient = direction(explainer, current, index, strongest_other(logits, index))
        momentum = _DECAY * momentum + gradient / (np.abs(gradient).mean() or 1)
        current = np.clip(current + np.sign(momentum), low, high).astype(np.uint8)
    return best


def direction(explainer: Explainer, image: np.ndarray, target: int | str, other: int | str) -> np.ndarray:
    """The gradient of one class's logit less another's, from one session run.

    Args:
        explainer: with the rule `backprop` in its saliency.
        image: `[H, W, 3]`, RGB in [0, 255], of the network's size.
        target: the class to go towards.
        other: the class to go away from.

    Returns:
        `[H, W, 3]`, d (logits[target] - logits[other]) / d image.

    Raises:
        KeyError: an explainer without the rule `backprop`; a name of no class or of several.
        ValueError: as `Explainer.explain_classes`.
    """
    saliency = explainer.explain_classes(image, [target, other]).saliency
    if "backprop" not in saliency:
        raise UnknownName(f"an adversarial picture needs the rule 'backprop'; the explainer's are {list(saliency)}")
    return saliency["backprop"][0] - saliency["backprop"][1]


def _checked(image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """One picture of the network's size, float32."""
    height, width = size
    if np.shape(image) != (height, width, 3):
        raise BadValue(f"the image must be [{height}, {width}, 3], not {list(np.shape(image))}")
    return checked_images(np.asarray(image)[None], size)[0]


def strongest_other(logits: np.ndarray, target: int) -> int:
    """The class with the largest logit of `[C]` but for the target."""
    return int(np.argmax(np.where(np.arange(len(logits)) == target, -np.inf, logits)))


def _log_odds(logits: np.ndarray, target: int) -> float:
    """log(p / (1 - p)) of a class, from logits `[C]`: it still tells pictures apart where p rounds to 1."""
    others = np.delete(logits.astype(np.float64), target)
    largest = np.max(others)
    return float(logits[target] - largest - np.log(np.exp(others - largest).sum()))
