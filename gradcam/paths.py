"""Attributions that are gradients along a path to the picture: integrated gradients and their kin; NumPy and OpenCV.

They are complete: their sum over all pixels is what the class scores of the picture less what it scores at the path's
beginning, but for the steps that the integral is made of. `gap` says how far off that is.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import cv2
import numpy as np

from gradcam.noise import Gradient
from gradcam.perturbation import portions
from slim_models.mistakes import BadValue

STEPS = 50  # of an integral
BLUR = 0.2  # standard deviation that a path begins with, as a share of the height


def gradient_times_input(gradients: np.ndarray, images: np.ndarray) -> np.ndarray:
    """Gradient x input: what is left of integrated gradients with one step (Shrikumar et al. 2016, arXiv 1605.01713).

    Args:
        gradients: `[N, H, W, K]`, d y^c / d images.
        images: `[N, H, W, K]`, as the network's graph takes them: black is 0.

    Returns:
        `[N, H, W, K]`, signed.
    """
    return gradients * np.asarray(images, np.float32)


def path_integral(
    gradient: Gradient,
    path: Callable[[float], np.ndarray],
    *,
    steps: int = STEPS,
    batch: int = 16,
    progress: bool = False,
) -> np.ndarray:
    """The integral of a gradient along a path, pixel by pixel: sum_i grad(x(t_i + 1/2)) (x(t_i+1) - x(t_i)).

    Args:
        gradient: pictures `[n, H, W, K]` -> d y^c / d pictures.
        path: from 0 to 1 to a picture `[H, W, K]`.
        steps: that the path is cut into, with the gradient at the middle of each.
        batch: pictures a run; memory is bounded by it.
        progress: whether a bar is shown, if on a terminal.

    Returns:
        float64 `[H, W, K]`, signed.

    Raises:
        ValueError: no steps.
    """
    if steps < 1:
        raise BadValue(f"an integral needs at least 1 step, not {steps}")
    end = np.float64(path(0.0))
    total = np.zeros_like(end)
    for part in portions(steps, batch=batch, unit="step", progress=progress):
        middles = np.stack([path((step + 0.5) / steps) for step in range(part.start, part.stop)])
        slopes = np.float64(gradient(np.float32(middles)))
        for step, slope in zip(range(part.start, part.stop), slopes):
            begin, end = end, np.float64(path((step + 1) / steps))
            total += slope * (end - begin)
    return total


def integrated_gradients(
    gradient: Gradient, image: np.ndarray, baseline: np.ndarray | float = 0.0, **options: Any
) -> np.ndarray:
    """Integrated gradients (Sundararajan et al. 2017, arXiv 1703.01365, sec. 3): along the straight line.

    Args:
        gradient: pictures `[n, H, W, K]` -> d y^c / d pictures.
        image: `[H, W, K]`.
        baseline: where the line begins, of the image's shape or one number; 0 is black, as in the paper.
        options: as of `path_integral`.

    Returns:
        float64 `[H, W, K]`, signed; its sum is the score of the image less that of the baseline.
    """
    image = np.asarray(image, np.float64)
    return path_integral(gradient, lambda t: baseline + t * (image - baseline), **options)


def blur_integrated_gradients(gradient: Gradient, image: np.ndarray, sigma: float = BLUR, **options: Any) -> np.ndarray:
    """Blur integrated gradients (Xu et al. 2020, arXiv 2004.03383): from the blurred picture to the sharp one.

    The baseline is the picture itself without its detail, so that black parts of it can count; the standard deviation
    goes down in equal steps, as in the authors' code.

    Args:
        gradient: pictures `[n, H, W, K]` -> d y^c / d pictures.
        image: `[H, W, K]`.
        sigma: standard deviation of the Gaussian that the path begins with, as a share of the height.
        options: as of `path_integral`.

    Returns:
        float64 `[H, W, K]`, signed; its sum is the score of the image less that of the blurred one.
    """
    return path_integral(gradient, lambda t: blurred(image, (1 - t) * sigma * len(image)), **options)


def blurred(image: np.ndarray, sigma: float) -> np.ndarray:
    """A picture `[H, W, K]` blurred by a Gaussian of that many pixels, mirrored at its edges; in float64."""
    rows, columns = (_blurring(side, sigma) for side in image.shape[:2])
    return np.einsum("ih,hwk,jw->ijk", rows, np.float64(image), columns, optimize=True)


def _blurring(side: int, sigma: float) -> np.ndarray:
    """What a Gaussian does to one axis, `[side, side]`: a product with a matrix, whatever the Gaussian's size."""
    size = 2 * math.ceil(4 * sigma) + 1
    if size == 1:
        return np.eye(side)
    return cv2.GaussianBlur(np.eye(side), (1, size), 1, sigmaY=sigma, borderType=cv2.BORDER_REFLECT)


def gap(attributions: np.ndarray, image: float, begin: float) -> float:
    """By how much attributions are off being complete, as a share of the difference that they should add up to.

    Args:
        attributions: of a path.
        image: what the class scores of the picture.
        begin: what it scores at the path's beginning.

    Returns:
        A share >= 0; infinite, if there is no difference and the attributions add up to one.
    """
    expected, found = image - begin, float(attributions.sum())
    off = abs(found - expected)
    return off / abs(expected) if expected else (math.inf if off else 0.0)
