"""Sanity checks of maps (Adebayo et al. 2018, arXiv 1810.03292): does a map change if the network forgets?"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from tqdm import tqdm

import slim_models
from gradcam import maps
from gradcam.explainer import Explainer, Targets
from gradcam.explanation import Explanation
from gradcam.methods import MapMethod
from gradcam.randomization import KINDS, Layers, parameter_layers
from gradcam.similarity import MEASURES, similarities

Maps = Mapping[str, np.ndarray]  # method -> [N, H, W] in [0, 1]
Row = dict[str, Any]


def randomization_test(
    explainer: Explainer,
    weights: Mapping[str, np.ndarray],
    images: np.ndarray,
    targets: Targets | None,
    methods: Mapping[str, MapMethod],
    *,
    layers: Layers | None = None,
    kind: str = "cascading",
    seed: int = 0,
    progress: bool = False,
    watch: Callable[[str, Maps], None] | None = None,
) -> list[Row]:
    """How alike the maps of a trained network and of its randomised ones are (Adebayo et al. 2018, sec. 3).

    The classes stay those given for, or predicted by, the trained network, whatever the randomised ones predict.

    Args:
        explainer: with the rules that `methods.needs` names; it has its weights again afterwards, come what may.
        weights: those of the explainer, variable name -> array.
        images: `[N, H, W, 3]`, RGB in [0, 255]; all go through the network at once.
        targets: as `Explainer.explain` takes them.
        methods: from `methods.map_methods`; not `cam`, which keeps weights of its own.
        layers: some of `parameter_layers`, in its order; None is all of them.
        kind: a key of `randomization.KINDS`.
        seed: of the draws.
        progress: whether a bar is shown, if on a terminal.
        watch: is called after each step with the layer and the maps.

    Returns:
        A row for each layer and method: `kind`, `layer`, `method`, and what `compared` says of the maps.

    Raises:
        KeyError: no such kind; or what the explanations lack.
        ValueError: as `Explainer.explain`, or a map that is not finite.
    """
    if kind not in KINDS:
        raise KeyError(f"no randomization {kind!r}; there are {', '.join(KINDS)}")
    layers = parameter_layers(explainer.network.weight_shapes()) if layers is None else layers
    explanation = explainer.explain(images, targets)
    trained = heatmaps(explanation, methods)
    steps = KINDS[kind](weights, layers, np.random.default_rng(seed))
    bar = {"total": len(layers), "unit": "layer", "disable": None if progress else True, "leave": False}
    rows = []
    try:
        for layer, changed in tqdm(steps, **bar):
            slim_models.assign_weights(explainer.session, explainer.network, changed)
            now = heatmaps(explainer.explain(images, explanation.targets), methods)
            if watch:
                watch(layer, now)
            for name in methods:
                rows.append({"kind": kind, "layer": layer, "method": name, **compared(zip(trained[name], now[name]))})
    finally:
        slim_models.assign_weights(explainer.session, explainer.network, weights)
    return rows


def unrelated(trained: Maps) -> list[Row]:
    """How alike a method's maps of different pictures are, which is no likeness at all: what to read the test by.

    Args:
        trained: of one network's pictures, from `heatmaps`.

    Returns:
        A row for each method: `kind` is `"unrelated"`, `layer` empty; N * (N - 1) / 2 pairs in place of pictures.
    """
    return [
        {"kind": "unrelated", "layer": "", "method": name, **compared(itertools.combinations(of_pictures, 2))}
        for name, of_pictures in trained.items()
    ]


def heatmaps(explanation: Explanation, methods: Mapping[str, MapMethod]) -> dict[str, np.ndarray]:
    """The maps of the methods at the images' size: method -> `[N, H, W]` in [0, 1]."""
    size = explanation.images.shape[1:3]
    return {name: maps.heatmap(method.make(explanation), size) for name, method in methods.items()}


def compared(pairs: Iterable[Sequence[np.ndarray]]) -> Row:
    """The likeness of pairs of maps.

    Args:
        pairs: of `[H, W]`, >= 0.

    Returns:
        For each of `MEASURES` the mean of the pairs that have it, NaN if none has; `pictures`: measure -> a
        number a pair, NaN where a map is constant.
    """
    values = [similarities(first, second) for first, second in pairs]
    pictures = {measure: [value[measure] for value in values] for measure in MEASURES}
    return {**{measure: _mean(numbers) for measure, numbers in pictures.items()}, "pictures": pictures}


def _mean(values: Sequence[float]) -> float:
    known = [value for value in values if not np.isnan(value)]
    return float(np.mean(known)) if known else float("nan")
