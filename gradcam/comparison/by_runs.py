"""Definitions of others that run the network again; NumPy."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from gradcam import cams, more_runs, noise
from gradcam.comparison.defining import MEAN, Definition, Make, Named, arrays_of
from gradcam.comparison.matching import resized
from gradcam.explanation import Explanation
from gradcam.perturbation import masked, occlusion_map, rise_map
from slim_models.heads import softmax

# Of noise: so many copies, with so little of it, that two seeds make nearly the same map of random weights.
SAMPLES, NOISE = 200, 0.02
STEPS = 50  # of integrals, as others take by default, or can be told to take


def _finer(strength: float, by_probability: bool = False) -> Make:
    """Grad-CAM of the class less its 3 nearest rivals.

    By probability it is that of sum_i s_i (y_c - y_i), with s the rivals' softmax, through which the gradient goes too.
    """

    def make(one: Explanation) -> np.ndarray:
        logits, target = np.float64(one.logits[0]), int(one.targets[0])
        order = [index for index in np.argsort(np.abs(logits - logits[target])) if index != target][:3]
        ways = np.eye(len(logits))[[target]]
        shares = softmax(logits[order]) if by_probability else np.full(len(order), 1 / len(order))
        ways[0, order] -= strength * shares
        if by_probability:
            differences = logits[target] - strength * logits[order]
            ways[0, order] += shares * (differences - shares @ differences)
        found = one.more_runs().slopes(one.images, np.float32(ways), one.default_layer)
        return cams.grad_cam(found.activations, found.gradients)[0]

    return make


def _score_cam(
    enlarging: str, *, over_channels: bool = True, normal_first: bool = False, channels: int | None = None
) -> Make:
    """Score-CAM of what is seen through each channel, the mean colour being what is hidden."""

    def make(one: Explanation) -> np.ndarray:
        activations, size = arrays_of(one)[0], one.images.shape[1:3]
        order = np.argsort(-activations[0].var(axis=(0, 1)), kind="stable")[:channels]
        seen = [activations[0, ..., k] for k in order]
        if normal_first:
            seen = [resized(_between(channel), size, enlarging) for channel in seen]
        else:
            seen = [_between(resized(channel, size, enlarging)) for channel in seen]
        logits = np.float64(one.more_runs().predict(masked(one.images[0], np.stack(seen), MEAN)))
        target = int(one.targets[0])
        weights = np.zeros(activations.shape[-1])
        weights[order] = softmax(logits[:, target]) if over_channels else softmax(logits)[:, target]
        return cams.positive_sum(activations, weights[None])[0]

    return make


def _between(array: np.ndarray) -> np.ndarray:
    span = float(np.ptp(array))
    return (array - array.min()) / span if span else np.zeros_like(array)


def _integral(points: np.ndarray, weights: np.ndarray, times: bool = True) -> Make:
    """Integrated gradients from the mean colour, with the gradient at some points of the line from 0 to 1."""

    def make(one: Explanation) -> np.ndarray:
        line = MEAN + points[:, None, None, None] * (one.images - MEAN)
        ways = np.repeat(one.ways, len(points), axis=0)
        gradients = np.float64(one.more_runs().slopes(np.float32(line), ways).gradients)
        mean = np.tensordot(weights, gradients, axes=1)
        return mean * (one.images[0] - MEAN) if times else mean

    return make


def _ends(steps: int) -> tuple[np.ndarray, np.ndarray]:
    return np.linspace(0, 1, steps), np.full(steps, 1 / steps)


def _trapezoids(steps: int) -> tuple[np.ndarray, np.ndarray]:
    weights = np.full(steps, 1 / (steps - 1))
    weights[[0, -1]] /= 2
    return np.linspace(0, 1, steps), weights


def _middles(steps: int) -> tuple[np.ndarray, np.ndarray]:
    return (np.arange(steps) + 0.5) / steps, np.full(steps, 1 / steps)


def _gauss(steps: int) -> tuple[np.ndarray, np.ndarray]:
    points, weights = np.polynomial.legendre.leggauss(steps)
    return (points + 1) / 2, weights / 2


def _blurred(sigma: float = 50, steps: int = 100) -> Make:
    """Blur integrated gradients of what the network takes, 0 beyond its edges, by the left ends of steps."""

    def make(one: Explanation) -> np.ndarray:
        from scipy import ndimage

        prepared, step = np.float32(one.images[0]) - MEAN, sigma / steps

        def blur(by: float) -> np.ndarray:
            return ndimage.gaussian_filter(prepared, [by, by, 0], mode="constant") if by else prepared

        line = np.stack([blur(step * number) for number in range(steps)])
        slopes = np.stack([blur(step * number + 0.01) for number in range(steps)])
        ways = np.repeat(one.ways, steps, axis=0)
        gradients = one.more_runs().slopes(np.float32(line + MEAN), ways).gradients
        return -step * (gradients * (slopes - line) / 0.01).sum(axis=0)

    return make


def _occluded(size: int, stride: int, *, mean: bool = False) -> Make:
    """What the class loses with a patch of the mean colour, summed over the patches that hide a pixel."""

    def make(one: Explanation) -> np.ndarray:
        height, width = one.images.shape[1:3]
        tops = [(y, x) for y in range(0, height - size + 1, stride) for x in range(0, width - size + 1, stride)]
        masks = np.ones((len(tops), height, width), np.float32)
        for mask, (y, x) in zip(masks, tops):
            mask[y : y + size, x : x + size] = 0
        runs, target = one.more_runs(), int(one.targets[0])
        parts = [
            runs.predict(masked(one.images[0], masks[n : n + 64], MEAN))[:, target] for n in range(0, len(tops), 64)
        ]
        lost = np.float64(one.logits[0, target] - np.concatenate(parts))
        summed = np.tensordot(lost, 1 - masks, axes=1)
        return summed / np.maximum((1 - masks).sum(axis=0), 1) if mean else summed

    return make


def _patched(one: Explanation) -> np.ndarray:
    """The score lost by patches that lie side by side, of 127.5 in what the network takes."""
    target = int(one.targets[0])
    return occlusion_map(one.more_runs().predict, one.images[0], target, patch=16, stride=16, fill=list(MEAN + 127.5))


def _moment(
    which: Callable[[list[np.ndarray]], np.ndarray], layer: bool = False, absolute: bool = False
) -> Callable[[int], Make]:
    """Seed -> what is made of the mean gradient, and of the means of its square and cube, over noisy copies."""

    def seeded(seed: int) -> Make:
        def make(one: Explanation) -> np.ndarray:
            runs, place = one.more_runs(), one.default_layer if layer else None

            def gradient(images: np.ndarray) -> np.ndarray:
                found = runs.slopes(images, np.repeat(one.ways, len(images), axis=0), place).gradients
                return np.abs(found) if absolute else found

            moments = noise.noisy_moments(gradient, one.images[0], 3, samples=SAMPLES, noise=NOISE, seed=seed)
            if not layer:
                return which(moments)
            activations = arrays_of(one)[0]
            return noise.smooth_grad_cam_plus_plus(activations, *(moment[None] for moment in moments))[0]

        return make

    return seeded


def _rise(seed: int) -> Make:
    def make(one: Explanation) -> np.ndarray:
        runs, target = one.more_runs(), int(one.targets[0])
        return rise_map(lambda images: softmax(runs.predict(images))[:, target], one.images[0], seed=seed)

    return make


def by_runs() -> list[Named]:
    """Those of methods that run the network again."""
    corners = "bilinear with corners on corners"
    probability = (
        "with the class's probability as a weight, no softmax over the channels, masks enlarged corners on corners"
    )
    return [
        ("finer_cam", "at 0.6 of its strength", _finer(0.6)),
        ("finer_cam", "with rivals weighted by their probabilities, whose gradient counts too", _finer(1, True)),
        ("score_cam", "with the network's mean colour hidden, to the last digit", _score_cam("bilinear")),
        ("score_cam", "with masks enlarged corners on corners", _score_cam(corners)),
        (
            "score_cam",
            "with masks brought to [0, 1] before they are enlarged",
            _score_cam("bilinear", normal_first=True),
        ),
        ("score_cam", probability, _score_cam(corners, over_channels=False)),
        ("faster_score_cam", probability, _score_cam(corners, over_channels=False, channels=more_runs.FASTER)),
        ("occlusion", "of patches of 16 by steps of 1, summed over what hides a pixel", _occluded(16, 1)),
        ("occlusion", "of patches of 16 by steps of 8, summed over what hides a pixel", _occluded(16, 8)),
        ("occlusion", "of patches of 16 by steps of 8, averaged over what hides a pixel", _occluded(16, 8, mean=True)),
        ("occlusion", "of patches of 16 side by side, brighter than the mean colour by 127.5", _patched),
    ]


def along_paths() -> list[Definition]:
    """Those of integrals, with their tolerances."""
    name, mean = "integrated_gradients", "from the mean colour"
    blurred = "from a blur of 50 pixels, 0 beyond the edges, by the left ends of 100 steps"
    pairs = [
        (f"{mean}, by middles of steps", _integral(*_middles(STEPS))),
        (f"{mean}, by Gauss and Legendre's points", _integral(*_gauss(STEPS))),
        (f"{mean}, by trapezoids", _integral(*_trapezoids(STEPS))),
        (f"{mean}, by a mean in which both ends count whole", _integral(*_ends(STEPS))),
        (f"{mean}, without the factor of the picture", _integral(*_ends(STEPS), times=False)),
    ]
    # The blurred path's slopes are differences of blurs that are a hundredth of a pixel apart.
    return [
        *(Definition(name, says, make, tolerance=1e-3) for says, make in pairs),
        Definition("blur_integrated_gradients", blurred, _blurred(), tolerance=2e-2),
    ]


def by_chance() -> list[Definition]:
    """Methods of random numbers, and what others make of the same."""
    smooth = "smooth_grad"
    seeded: list[tuple[str, str, Callable[[int], Make]]] = [
        (smooth, "", _moment(lambda moments: moments[0])),
        (smooth, "of the gradient's absolute values", _moment(lambda moments: moments[0], absolute=True)),
        (smooth, "of the gradient's squares", _moment(lambda moments: moments[1])),
        ("var_grad", "", _moment(lambda moments: moments[1] - moments[0] ** 2)),
        ("smooth_grad_cam_plus_plus", "", _moment(lambda moments: moments[0], layer=True)),
        ("rise", "", _rise),
    ]
    return [Definition(method, says, of(0), of(1)) for method, says, of in seeded]
