"""Pictures of which none of a network's classes may be: a rule on its top probability and its log-sum-exp."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from slim_models.heads import softmax
from slim_models.mistakes import BadValue

RATE = 0.1  # of a network's own validation pictures that its thresholds take for strangers


class Thresholds(NamedTuple):
    """Below both of them none of a network's classes may fit.

    Attributes:
        probability: of the top class.
        log_sum_exp: of the logits; minus that is what Liu et al. 2020 (arXiv 2010.03759) call the energy.
    """

    probability: float
    log_sum_exp: float


class Known(NamedTuple):
    """Thresholds, and what they are of: weights of a fingerprint, and pictures of so many pixels on a side."""

    weights: str
    side: int
    thresholds: Thresholds


# Of the networks whose weights come along, by scripts/calibrate_strangers.py from the 10,000 validation pictures of
# Tiny ImageNet, of EfficientNet-Lite0 from the first 7,000; docs/RESULTS.md says how often they err.
THRESHOLDS = {
    "resnet_v1_50_tiny": Known("415058fff06fe6ed", 112, Thresholds(0.17770, 7.0587)),
    "vgg16_tiny": Known("e298ac3ad7da4611", 112, Thresholds(0.15642, 6.7873)),
    "efficientnet_lite0": Known("04c8fe944b465e9a", 224, Thresholds(0.13407, 8.4535)),
}


def log_sum_exp(logits: np.ndarray) -> np.ndarray:
    """How much a network finds in each picture, whatever it is: log(sum(exp(logits))), `[N, C]` -> `[N]`.

    Probabilities are blind to it: logits that are all lower by the same number have the same softmax.
    """
    return np.logaddexp.reduce(np.asarray(logits, np.float64), axis=-1)


def none_fits(logits: np.ndarray, thresholds: Thresholds) -> np.ndarray:
    """Whether both the top probability and the log-sum-exp are below their thresholds: `[N, C]` -> bool `[N]`."""
    top, energy = _evidence(logits)
    return (top < thresholds.probability) & (energy < thresholds.log_sum_exp)


def thresholds_for(logits: np.ndarray, rate: float = RATE) -> Thresholds:
    """The thresholds under which that share of a network's validation pictures is taken for strangers.

    Both are the same quantile, of the top probability and of the log-sum-exp: the lowest at which so many pictures
    are below both. No stranger is asked, since those that come are not known.

    Args:
        logits: `[N, C]`, of pictures of the network's classes, that it was not trained on.
        rate: of false alarms, in (0, 1).

    Raises:
        ValueError: too few pictures for the rate, or the rate is none.
    """
    logits = np.asarray(logits)
    if not 0 < rate < 1 or len(logits) * rate < 1:
        raise BadValue(f"no threshold takes a share of {rate} of {len(logits)} pictures: give more of them")
    top, energy = _evidence(logits)
    ranks = np.stack([np.argsort(np.argsort(values, kind="stable"), kind="stable") for values in (top, energy)])
    # A picture is below both k-th lowest values if the larger of its ranks is less than k.
    least = int(np.sort(ranks.max(axis=0))[int(len(logits) * rate) - 1]) + 1
    if least >= len(logits):
        raise BadValue(f"all pictures would have to be taken for strangers at a rate of {rate}: it must be lower")
    return Thresholds(float(np.sort(top)[least]), float(np.sort(energy)[least]))


def _evidence(logits: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The top probability and the log-sum-exp: `[N, C]` -> `[N]` each."""
    logits = np.asarray(logits, np.float64)
    return softmax(logits).max(axis=-1), log_sum_exp(logits)
