"""What a definition of a method is, for those that are told apart."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np

from gradcam.comparison.matching import AGREES
from gradcam.explanation import Explanation

Make = Callable[[Explanation], np.ndarray]
Named = tuple[str, str, Make]  # method, how it differs, and the way to the map
MEAN = np.array([123.68, 116.779, 103.939], np.float32)  # what the network of the reference subtracts, RGB


@dataclasses.dataclass(frozen=True)
class Definition:
    """A way to the map of one picture.

    Attributes:
        method: name in the registry.
        says: how it differs from the method as it is here, in words that follow the method's name; empty if it is it.
        make: explanation of one picture -> `[h, w]`, or signed `[H, W, 3]` in RGB.
        again: the same with other random numbers; None where there are none.
        tolerance: largest difference, over the peak, of what is the same. Along a path through a network of ReLUs
            gradients jump, and where they do so is decided by rounding: there it is larger.
    """

    method: str
    says: str
    make: Make
    again: Make | None = None
    tolerance: float = AGREES


def arrays_of(one: Explanation) -> tuple[np.ndarray, np.ndarray]:
    """Activations and gradients of the default layer, `[1, h, w, K]`, in float64."""
    return np.float64(one.activations[one.default_layer]), np.float64(one.gradients[one.default_layer])


def of_arrays(formula: Callable[[np.ndarray, np.ndarray], np.ndarray]) -> Make:
    return lambda one: formula(*arrays_of(one))[0]
