"""Methods that run the network again: what each asks of it, for the registry.

Each is a function of an explanation and a layer, as `methods.Method` takes them, and costs the runs of a picture that
it says; what it computes of their numbers is in `noise`, `paths`, `perturbation` and `cams`.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np

from gradcam import cams, fixations, noise, paths
from gradcam.explanation import Explanation
from gradcam.perturbation import ablation_weights, occlusion_map, rise_map, score_cam_weights
from gradcam.xrai import gathered, segments, xrai_map
from slim_models.heads import said_of
from slim_models.mistakes import BadValue

RIVALS = 3  # of Finer-CAM
FASTER = 10  # channels of Faster Score-CAM
# How many runs of a picture methods take by default, where that is a choice.
COUNTS = {"samples": 25, "steps": paths.STEPS, "masks": 4000}
Of = Callable[[Explanation], np.ndarray]  # one picture's -> its map [h, w]


def _kept(function: Callable[..., np.ndarray]) -> Callable[..., np.ndarray]:
    """The function, which makes its maps of an explanation once, however many files and figures show them."""

    @functools.wraps(function)
    def once(explanation: Explanation, *arguments: Any) -> np.ndarray:
        key = (function.__name__, *arguments)
        if key not in explanation.made:
            explanation.made[key] = function(explanation, *arguments)
        return explanation.made[key]

    return once


def _each(explanation: Explanation, of_one: Of) -> np.ndarray:
    return np.stack([of_one(explanation[number]) for number in range(len(explanation))])


def _bar(explanation: Explanation) -> bool:
    return explanation.more_runs().say is not None


def _layer(explanation: Explanation, layer: str | None) -> str:
    return explanation.default_layer if layer is None else layer


def _along(logits: np.ndarray, ways: np.ndarray) -> np.ndarray:
    """The outputs along their directions: `[n, C]`, or `[n, h, w, C]`, and as many directions or one -> `[n]`."""
    return (logits * ways).reshape(len(logits), -1).sum(axis=1)


def _score(explanation: Explanation) -> Callable[[np.ndarray], np.ndarray]:
    """Pictures `[n, H, W, K]` -> what the target of one explanation scores, in logits."""
    runs = explanation.more_runs()
    return lambda images: _along(runs.predict(images), explanation.ways)


def _gradient(explanation: Explanation, layer: str | None = None) -> Callable[[np.ndarray], np.ndarray]:
    """Pictures `[n, H, W, K]` -> the gradient of one explanation's target, at a layer or at the pictures."""
    runs = explanation.more_runs()
    return lambda images: runs.slopes(images, np.repeat(explanation.ways, len(images), axis=0), layer).gradients


@_kept
def finer_cam(explanation: Explanation, layer: str | None = None) -> np.ndarray:
    """Finer-CAM: Grad-CAM of the class less its nearest rivals (Zhang et al. 2025, arXiv 2501.11309, sec. 3).

    The direction is a `Difference` between what was explained and the mean of the classes whose logits come nearest to
    the class's own, all with the same weight: the paper's comparison at full strength.
    """
    if explanation.logits.ndim != 2:
        raise BadValue("Finer-CAM compares the classes of a picture; an output that is a map has one for each place")
    own = np.take_along_axis(explanation.logits, explanation.targets[:, None], axis=1)
    distance = np.abs(explanation.logits - own)
    np.put_along_axis(distance, explanation.targets[:, None], np.inf, axis=1)
    count = min(RIVALS, explanation.logits.shape[1] - 1)
    rivals = np.zeros_like(explanation.logits)
    np.put_along_axis(rivals, np.argsort(distance, axis=1, kind="stable")[:, :count], 1 / max(count, 1), axis=1)
    layer = _layer(explanation, layer)
    found = explanation.more_runs().slopes(explanation.images, explanation.ways - rivals, layer)
    return cams.grad_cam(found.activations, found.gradients)


@_kept
def smooth_grad_cam_plus_plus(explanation: Explanation, layer: str | None = None) -> np.ndarray:
    """`noise.smooth_grad_cam_plus_plus` of a layer."""
    layer = _layer(explanation, layer)

    def of_one(one: Explanation) -> np.ndarray:
        moments = noise.noisy_moments(_gradient(one, layer), one.images[0], 3, **_samples(one))
        return noise.smooth_grad_cam_plus_plus(one.activations[layer], *(moment[None] for moment in moments))[0]

    return _each(explanation, of_one)


@_kept
def score_cam(explanation: Explanation, layer: str | None = None, channels: int | None = None) -> np.ndarray:
    """`perturbation.score_cam_weights` of a layer's channels, by the class's logit."""
    layer = _layer(explanation, layer)

    def of_one(one: Explanation) -> np.ndarray:
        image, activations = one.images[0], one.activations[layer]
        weights = score_cam_weights(_score(one), image, activations[0], channels=channels, progress=_bar(one))
        return cams.positive_sum(activations, weights[None])[0]

    return _each(explanation, of_one)


def faster_score_cam(explanation: Explanation, layer: str | None = None) -> np.ndarray:
    """Score-CAM of the channels of the largest variance."""
    return score_cam(explanation, layer, FASTER)


@_kept
def ablation_cam(explanation: Explanation, layer: str | None = None) -> np.ndarray:
    """`perturbation.ablation_weights` of a layer's channels: what comes before the layer is not run again."""
    layer = _layer(explanation, layer)

    def of_one(one: Explanation) -> np.ndarray:
        runs, activations = one.more_runs(), one.activations[layer]

        def score(copies: np.ndarray) -> np.ndarray:
            return _along(runs.predict(np.repeat(one.images, len(copies), axis=0), layer, copies), one.ways)

        weights = ablation_weights(score, activations[0], float(score(activations)[0]), progress=_bar(one))
        return cams.positive_sum(activations, weights[None])[0]

    return _each(explanation, of_one)


@_kept
def rise(explanation: Explanation, layer: str | None = None) -> np.ndarray:
    """`perturbation.rise_map` by what the network says, less its least value: every mask is open somewhere."""

    def of_one(one: Explanation) -> np.ndarray:
        runs = one.more_runs()

        def said(images: np.ndarray) -> np.ndarray:
            return _along(said_of(runs.predict(images), one.head, one.one_output), one.ways)

        found = rise_map(said, one.images[0], masks=COUNTS["masks"], progress=_bar(one))
        return found - found.min()

    return _each(explanation, of_one)


@_kept
def occlusion(explanation: Explanation, layer: str | None = None) -> np.ndarray:
    """`perturbation.occlusion_map` by the class's logit, where the class loses."""

    def of_one(one: Explanation) -> np.ndarray:
        score = _score(one)
        return occlusion_map(lambda images: score(images)[:, None], one.images[0], 0, progress=_bar(one))

    return np.maximum(_each(explanation, of_one), 0)


@_kept
def smooth_grad(explanation: Explanation) -> np.ndarray:
    """`noise.smooth_grad` of the pictures: `[N, H, W, K]`, signed."""
    return _each(explanation, lambda one: noise.smooth_grad(_gradient(one), one.images[0], **_samples(one)))


@_kept
def var_grad(explanation: Explanation) -> np.ndarray:
    """`noise.var_grad` of the pictures: `[N, H, W, K]`, >= 0."""
    return _each(explanation, lambda one: noise.var_grad(_gradient(one), one.images[0], **_samples(one)))


@_kept
def integrated_gradients(explanation: Explanation) -> np.ndarray:
    """`paths.integrated_gradients` of the pictures, from black: `[N, H, W, K]`, signed."""

    def of_one(one: Explanation) -> np.ndarray:
        image = one.images[0]
        found = paths.integrated_gradients(_gradient(one), image, **_steps(one))
        return _complete("integrated gradients", one, found, np.zeros_like(image))

    return _each(explanation, of_one)


@_kept
def blur_integrated_gradients(explanation: Explanation) -> np.ndarray:
    """`paths.blur_integrated_gradients` of the pictures: `[N, H, W, K]`, signed."""

    def of_one(one: Explanation) -> np.ndarray:
        image = one.images[0]
        found = paths.blur_integrated_gradients(_gradient(one), image, **_steps(one))
        return _complete("blur integrated gradients", one, found, paths.blurred(image, paths.BLUR * len(image)))

    return _each(explanation, of_one)


@_kept
def xrai(explanation: Explanation, layer: str | None = None) -> np.ndarray:
    """`xrai.xrai_map` of integrated gradients from black and from white, less its least value: `[N, H, W]`."""

    def of_one(one: Explanation) -> np.ndarray:
        image = one.images[0]
        ends = [np.full_like(image, end) for end in (image.min(), image.max())]
        found = [paths.integrated_gradients(_gradient(one), image, end, **_steps(one)) for end in ends]
        regions = xrai_map(gathered(found), segments(image))
        return regions - regions.min()

    return _each(explanation, of_one)


def _samples(explanation: Explanation) -> dict[str, Any]:
    return {"samples": COUNTS["samples"], "progress": _bar(explanation)}


def _steps(explanation: Explanation) -> dict[str, Any]:
    return {"steps": COUNTS["steps"], "progress": _bar(explanation)}


def _complete(title: str, one: Explanation, attributions: np.ndarray, beginning: np.ndarray) -> np.ndarray:
    """The attributions of a path, of which it is said whether they add up to what they should."""
    say = one.more_runs().say
    if say is not None:
        image, begin = map(float, _score(one)(np.stack([one.images[0], np.float32(beginning)])))
        off = paths.gap(attributions, image, begin)
        say(f"{title} add up to {attributions.sum():.5g}, and the score rises by {image - begin:.5g}: {off:.2%} off")
    return attributions


@_kept
def cnn_fixations(explanation: Explanation, layer: str | None = None) -> np.ndarray:
    """`fixations.density` of what the picture's own layers are traced back to, without outliers."""
    size = explanation.images.shape[1:3]

    def of_one(one: Explanation) -> np.ndarray:
        points = np.array(one.more_runs().fixations(one.images, one.ways[0]), int).reshape(-1, 2)
        return fixations.density(fixations.without_outliers(points, size), size)

    return _each(explanation, of_one)


def flipped(explanation: Explanation, make: Callable[[Explanation], np.ndarray]) -> np.ndarray:
    """The mean of a method's maps of the pictures and of their mirror images (test-time augmentation).

    As `aug_smooth` of pytorch-grad-cam (Gildenblat et al. 2021), without its brighter and darker copies.

    Args:
        explanation: of N pictures.
        make: an explanation's maps, `[N, h, w]`.

    Returns:
        `[N, h, w]`, >= 0.
    """
    images = np.ascontiguousarray(explanation.images[:, :, ::-1])
    ways = explanation.ways[:, :, ::-1] if explanation.ways.ndim == 4 else explanation.ways
    return (make(explanation) + make(explanation.again(images=images, directions=ways))[:, :, ::-1]) / 2
