"""Sanity checks of maps (Adebayo et al. 2018, arXiv 1810.03292): does a map change if the network forgets?"""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from tqdm import tqdm

import slim_models
from gradcam import maps
from gradcam.evaluation.metrics import MEASURES, similarities
from gradcam.explanation import Explanation
from gradcam.methods import Method
from slim_models.mistakes import check_name

if TYPE_CHECKING:
    from gradcam.explainer import Explainer, Targets

Maps = Mapping[str, np.ndarray]  # method -> [N, H, W] in [0, 1]
Likeness = dict[str, Any]  # of one layer and method: what `compared` says, and of what
Weights = Mapping[str, np.ndarray]
Layers = Mapping[str, "list[str]"]  # layer -> names of its variables, from the logits down to the input
Steps = Iterator["tuple[str, dict[str, np.ndarray]]"]
_SCALES = ("gamma", "moving_variance")  # of batch norm; every other vector is an offset


def randomization_test(
    explainer: Explainer,
    weights: Mapping[str, np.ndarray],
    images: np.ndarray,
    targets: Targets | None,
    methods: Mapping[str, Method],
    *,
    layers: Layers | None = None,
    kind: str = "cascading",
    seed: int = 0,
    progress: bool = False,
    watch: Callable[[str, Maps], None] | None = None,
) -> list[Likeness]:
    """How alike the maps of a trained network and of its randomised ones are (Adebayo et al. 2018, sec. 3).

    The classes stay those given for, or predicted by, the trained network, whatever the randomised ones predict.

    Args:
        explainer: with the rules that `methods.needs` names; it has its weights again afterwards, come what may.
        weights: those of the explainer, variable name -> array.
        images: `[N, H, W, 3]`, RGB in [0, 255]; all go through the network at once.
        targets: as `Explainer.explain` takes them.
        methods: from `methods.methods_named`; not `cam`, which keeps weights of its own.
        layers: some of `parameter_layers`, in its order; None is all of them.
        kind: a key of `KINDS`.
        seed: of the draws.
        progress: whether a bar is shown, if on a terminal.
        watch: is called after each step with the layer and the maps.

    Returns:
        A row for each layer and method: `kind`, `layer`, `method`, and what `compared` says of the maps.

    Raises:
        KeyError: no such kind; or what the explanations lack.
        ValueError: as `Explainer.explain`, or a map that is not finite.
    """
    check_name("randomization", kind, KINDS)
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


def unrelated(trained: Maps) -> list[Likeness]:
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


def heatmaps(explanation: Explanation, methods: Mapping[str, Method]) -> dict[str, np.ndarray]:
    """The maps of the methods at the images' size: method -> `[N, H, W]` in [0, 1]."""
    size = explanation.images.shape[1:3]
    return {name: maps.heatmap(method.make(explanation), size) for name, method in methods.items()}


def compared(pairs: Iterable[Sequence[np.ndarray]]) -> Likeness:
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


def parameter_layers(names: Iterable[str]) -> dict[str, list[str]]:
    """The variables of a network layer by layer, from the logits down to the input.

    A layer is the scope that holds a convolution or matrix and what belongs to it, batch norm too; all of a
    ResNet's unit (`block4/unit_3`), or of an EfficientNet's block (`block_15`), is one layer. A scope around the whole
    network is left out of the names.

    Args:
        names: of the variables in forward order, such as `network.weight_shapes()`; a file's order may be another.

    Returns:
        Layer -> names: VGG16 has `fc8`, `fc7`, `fc6`, `conv5_3`, ..., `conv1_1`; a ResNet `logits`,
        `block4/unit_3`, ..., `block1/unit_1`, `conv1`; an EfficientNet-Lite0 `logits`, `conv_head`, `block_15`, ...,
        `block_0`, `conv_stem`.
    """
    scopes = {name: _scope(name) for name in names}
    roots = {scope[0] for scope in scopes.values()}
    outside = 1 if len(roots) == 1 and all(len(scope) > 1 for scope in scopes.values()) else 0
    layers: dict[str, list[str]] = {}
    for name, scope in scopes.items():
        layers.setdefault("/".join(scope[outside:]), []).append(name)
    return dict(reversed(layers.items()))


def _scope(name: str) -> list[str]:
    """The parts of the name of a variable's layer, from the outermost."""
    parts = [part for part in name.split("/")[:-1] if part != "BatchNorm"] or [name]
    units = [number for number, part in enumerate(parts, start=1) if re.fullmatch(r"(unit|block)_\d+", part)]
    return parts[: units[0]] if units else parts


def randomized(weights: Weights, names: Iterable[str], rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Weights in which some arrays are drawn anew: what was learnt goes, the scale stays.

    Kernels and matrices are drawn from a normal distribution of mean 0 and the array's own standard deviation.
    A channel's gamma and moving variance, which only together are a scale, go to a random channel together.
    Biases, beta and moving means become 0, as they are before training: offsets fit the kernels they were learnt
    with; behind random ones they drown the picture, and maps would show a network that hardly looks at it
    (kept or permuted in a VGG16 of this project's, they left the pictures' `conv5_3` equal to 1 %).

    Adebayo et al. draw from the network's own initialiser instead, and leave both moving statistics as they were
    learnt. Their scale does not fit new kernels: a ResNet-50 of this project's overflowed.

    Args:
        weights: variable name -> array.
        names: of the arrays to draw.
        rng: the draws are made in the order of the names.

    Returns:
        New weights, of the same types and shapes; the arrays that are not named are those given, not copies.

    Raises:
        KeyError: a name without an array.
    """
    result = dict(weights)
    orders: dict[str, np.ndarray] = {}
    for name in names:
        array = np.asarray(weights[name])
        scope, _, leaf = name.rpartition("/")
        if array.ndim > 1:
            drawn = rng.standard_normal(array.shape, np.float32)
            drawn *= array.std(dtype=np.float64)
            result[name] = drawn.astype(array.dtype, copy=False)
        elif leaf in _SCALES:
            if scope not in orders:
                orders[scope] = rng.permutation(array.size)
            result[name] = array[orders[scope]]
        else:
            result[name] = np.zeros_like(array)
    return result


def cascading(weights: Weights, layers: Layers, rng: np.random.Generator) -> Steps:
    """Randomises the logits' layer, then also the one below, and so on (Adebayo et al. 2018, sec. 3.1).

    Args:
        weights: variable name -> array, trained.
        layers: from `parameter_layers`, or some of them.
        rng: a layer's values are drawn once and stay in the later steps.

    Yields:
        The lowest layer that is random, and all weights.
    """
    current = dict(weights)
    for layer, names in layers.items():
        current = randomized(current, names, rng)
        yield layer, current


def independent(weights: Weights, layers: Layers, rng: np.random.Generator) -> Steps:
    """Randomises one layer at a time, all others being trained (Adebayo et al. 2018, sec. 3.2).

    Args:
        weights: variable name -> array, trained.
        layers: from `parameter_layers`, or some of them.
        rng: in the state that `cascading` was given, it draws the same values for each layer.

    Yields:
        The layer that is random, and all weights.
    """
    for layer, names in layers.items():
        yield layer, randomized(weights, names, rng)


KINDS: dict[str, Callable[[Weights, Layers, np.random.Generator], Steps]] = {
    "cascading": cascading,
    "independent": independent,
}
