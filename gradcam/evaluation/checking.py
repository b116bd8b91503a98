"""Is it the map or the network? What one picture's map does where it should change, and where it should not."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Sequence

import numpy as np

from gradcam import baselines, maps
from gradcam.evaluation.metrics import rank_correlation
from gradcam.evaluation.removal import curve, grey, hottest_first
from gradcam.evaluation.sanity import randomized
from gradcam.explanation import Explanation
from gradcam.methods import Method, methods_named, why_blank
from slim_models.heads import said_of

DRAWS = 4  # of random weights, and of noise
NOISE = 0.02  # its standard deviation, as a share of the picture's range
ORDERS = 8  # random ones, in which places are deleted
STEPS = 10  # of a deletion
PROTOCOL = {"draws": DRAWS, "noise": NOISE, "random_orders": ORDERS, "steps": STEPS}  # as JSON has it
Make = Callable[[Explanation], np.ndarray]


@dataclasses.dataclass(frozen=True)
class Checks:
    """What the map of one picture does. Likenesses are rank correlations of its values with another map's.

    Attributes:
        target: the class that the map is of.
        share: of the map's places that are above 0.
        blank: why none is; empty if some are.
        weights: mean likeness to the maps of the network with random weights behind the layer; None if it has none.
        other: the likeliest class that the target is not about; None if there is none.
        other_class: likeness to its map.
        noise: mean likeness to the maps of noisy copies of the picture.
        said: what the network says of the target.
        said_in_noise: the mean of what it says of the noisy copies.
        by_map: the mean of what it says while the picture is deleted, what is hot in the map first.
        at_random: the same of places in random orders; each is a number.
        from_centre: the same from the centre outwards.
    """

    target: int
    share: float
    blank: str
    said: float
    weights: float | None = None
    other: int | None = None
    other_class: float | None = None
    noise: float | None = None
    said_in_noise: float | None = None
    by_map: float | None = None
    at_random: tuple[float, ...] = ()
    from_centre: float | None = None

    @property
    def beats_chance(self) -> bool:
        """Whether deleting by the map takes more from the class than deleting in random orders does on average."""
        return self.by_map is not None and self.by_map < float(np.mean(self.at_random))

    @property
    def beats_centre(self) -> bool:
        """Whether it takes more than deleting from the centre outwards."""
        return self.by_map is not None and self.from_centre is not None and self.by_map < self.from_centre


def check(
    explanation: Explanation, method: str | Method = "grad_cam", layer: str | None = None, seed: int = 0
) -> list[Checks]:
    """Checks the maps of a method, picture by picture, by more runs of the network.

    A map should change if the network forgets what it has learnt (Adebayo et al. 2018, arXiv 1810.03292) and if another
    class is asked for; it should stay under noise that nobody sees (Ghorbani et al. 2019, arXiv 1710.10547); and what
    it marks should matter: deleted first, it should take the class away sooner than places by chance or from the centre
    do (Petsiuk et al. 2018, arXiv 1806.07421, deletion). `verdict` puts it in words.

    It makes the method's map 9 times more, and looks at 110 changed copies of the picture.

    Args:
        explanation: of N pictures, by an `Explainer` that is still open and has the method's rules.
        method: by name, of `gradcam.methods.REGISTRY`; or itself.
        layer: one of those explained; None is its default one. It is the weights behind it that are made random.
        seed: of weights, noise and orders.

    Returns:
        Of each picture its checks.

    Raises:
        KeyError: no such method, or the layer was not explained.
        ValueError: the explanation is of arrays alone, or its explainer is closed.
    """
    chosen = methods_named([method])[method] if isinstance(method, str) else method
    layer = explanation.default_layer if layer is None else layer
    explanation.more_runs()
    return [_checked(explanation[number], chosen, layer, seed) for number in range(len(explanation))]


def _checked(one: Explanation, method: Method, layer: str, seed: int) -> Checks:
    found, rng = method.make(one, layer)[0], np.random.default_rng(seed)
    blank = "" if found.any() else why_blank(one, method, layer)
    first = Checks(int(one.targets[0]), float((found > 0).mean()), blank, float(_said(one, one.logits)[0]))
    if blank:
        return first

    def like(others: Sequence[Explanation]) -> float | None:
        values = [likeness(found, other) for several in others for other in method.make(several, layer)]
        return float(np.mean(values)) if values else None

    noisy, asked = _noisy(one, rng), _of_another_class(one)
    grid, size = one.activations[layer].shape[1:3], one.images.shape[1:3]
    chance = [baselines.random_maps(1, grid, seed + number)[0] for number in range(ORDERS)]
    orders = [found, *chance, baselines.centre_maps(1, size)[0]]
    by_map, *at_random, from_centre = (float(scores.mean()) for scores in deletions(one, orders))
    return dataclasses.replace(
        first,
        weights=like(_forgetful(one, layer, rng)),
        other=int(asked[0].targets[0]) if asked else None,
        other_class=like(asked),
        noise=like([noisy]),
        said_in_noise=float(_said(one, noisy.logits).mean()),
        by_map=by_map,
        at_random=tuple(at_random),
        from_centre=from_centre,
    )


def likeness(first: np.ndarray, second: np.ndarray) -> float:
    """The rank correlation of two maps `[h, w]`; 0 where one is the same everywhere, which is like nothing."""
    found = rank_correlation(first, second)
    return 0.0 if np.isnan(found) else found


def deletions(one: Explanation, orders: Sequence[np.ndarray]) -> np.ndarray:
    """What the network says of what was explained while a picture is deleted, some places before others.

    Deletion of Petsiuk et al. 2018, sec. 3.3, in `STEPS` steps of as many pixels each; what is deleted is of the mean
    colour.

    Args:
        one: of one picture `[H, W, K]`.
        orders: maps `[h, w]` of any size; the highest places are deleted first.

    Returns:
        `[len(orders), STEPS + 1]`, from the whole picture to none of it.
    """
    image, runs, size = one.images[0], one.more_runs(), one.images.shape[1:3]
    counts = np.linspace(0, math.prod(size), STEPS + 1).round().astype(int)
    places = [hottest_first(maps.heatmap(order[None], size)[0]) for order in orders]

    def score(images: np.ndarray) -> np.ndarray:
        return _said(one, runs.predict(images))

    return np.stack([curve(score, image, grey(image), order, counts) for order in places])


def _said(one: Explanation, logits: np.ndarray) -> np.ndarray:
    """What the network says of what was explained, of several of its outputs `[n, C]`: `[n]`."""
    return (np.asarray(said_of(logits, one.head), np.float64) * one.ways).reshape(len(logits), -1).sum(axis=1)


def _forgetful(one: Explanation, layer: str, rng: np.random.Generator) -> list[Explanation]:
    """By the network with random weights behind a layer; none where there are no weights behind it."""
    runs = one.more_runs()
    learnt = runs.weights_behind(layer)
    draws = range(DRAWS if learnt else 0)
    return [one.again(runs=runs.with_weights(layer, randomized(learnt, learnt, rng))) for _ in draws]


def _noisy(one: Explanation, rng: np.random.Generator) -> Explanation:
    """Of noisy copies of the picture."""
    image = np.asarray(one.images, np.float32)
    sigma = np.float32(NOISE * float(image.max() - image.min()))
    images = image + sigma * rng.standard_normal((DRAWS, *image.shape[1:]), np.float32)
    repeated = {"targets": np.repeat(one.targets, DRAWS), "directions": np.repeat(one.ways, DRAWS, axis=0)}
    return one.again(images=images, **repeated)


def _of_another_class(one: Explanation) -> list[Explanation]:
    """Of the likeliest class that is no part of what was explained, at the same places; empty if there is none."""
    logits, way = one.logits[0], one.ways[0]
    asked = np.abs(way).reshape(-1, way.shape[-1]).max(axis=0) > 0
    if asked.all():
        return []
    other = int(np.where(asked, -np.inf, logits.reshape(-1, logits.shape[-1]).mean(axis=0)).argmax())
    places = np.abs(way).max(axis=-1, keepdims=True)
    ways = np.asarray(places * (np.arange(len(asked)) == other), np.float32)[None]
    return [one.again(directions=ways, targets=np.array([other]))]
