"""All definitions of our methods that are told apart: ours, and what others compute under the same names; NumPy.

Those of others are there to be recognised, not to be used: `gradcam conformance` and docs/CONFORMANCE.md say whose they
are.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from gradcam import cams, maps, more_runs
from gradcam.comparison.at_layers import at_layers
from gradcam.comparison.by_runs import along_paths, by_chance, by_runs
from gradcam.comparison.defining import Definition, Make, of_arrays
from gradcam.explanation import Explanation


def _ours() -> list[Definition]:
    """The methods as they are here, saliency as it is before its channels become one."""
    own: dict[str, Make] = {name: of_arrays(formula) for name, formula in cams.FORMULAS.items()}
    runs = ("finer_cam", "score_cam", "faster_score_cam", "ablation_cam", "occlusion")
    own |= {name: _first(getattr(more_runs, name)) for name in runs}
    own |= {"backprop": _signed("backprop"), "guided_backprop": _signed("guided"), "deconvnet": _signed("deconvnet")}
    own |= {"guided_grad_cam": _guided, "gradient_input": lambda one: one.saliency["backprop"][0] * one.images[0]}
    own |= {name: _first(getattr(more_runs, name)) for name in ("integrated_gradients", "blur_integrated_gradients")}
    return [*(Definition(name, "", make) for name, make in own.items()), *by_chance()]


def _first(function: Callable[..., np.ndarray]) -> Make:
    return lambda one: np.float64(function(one)[0])


def _signed(rule: str) -> Make:
    return lambda one: np.float64(one.saliency[rule][0])


def _guided(one: Explanation) -> np.ndarray:
    heat = maps.heatmap(one.cam(), one.images.shape[1:3])
    return np.float64(maps.guided_grad_cam(one.saliency["guided"], heat)[0])


DEFINITIONS: list[Definition] = [
    *_ours(),
    *(Definition(*one) for one in (*at_layers(), *by_runs())),
    *along_paths(),
]
