"""Maps that are means over noisy copies of a picture: SmoothGrad, VarGrad, SmoothGrad-CAM++; NumPy."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from gradcam.cams import checked, positive_sum, refuse_negative
from gradcam.perturbation import portions
from slim_models.mistakes import BadValue

Gradient = Callable[[np.ndarray], np.ndarray]  # pictures [n, H, W, K] -> what is averaged of each, [n, ...]


def noisy_moments(
    gradient: Gradient,
    image: np.ndarray,
    orders: int,
    *,
    samples: int = 25,
    noise: float = 0.15,
    seed: int = 0,
    batch: int = 16,
    progress: bool = False,
) -> list[np.ndarray]:
    """The means of a gradient's powers over noisy copies of a picture.

    Args:
        gradient: of pictures.
        image: `[H, W, K]`.
        orders: 1 for the mean alone, 2 for that of the squares too, and so on.
        samples: how many copies.
        noise: standard deviation of the Gaussian noise as a share of the picture's range, from its least to its
            greatest value; SmoothGrad's paper finds 0.1 to 0.2 best.
        seed: of the noise.
        batch: copies a run; memory is bounded by it.
        progress: whether a bar is shown, if on a terminal.

    Returns:
        For each order float64 of the gradient's shape.

    Raises:
        ValueError: no samples, or noise below 0.
    """
    if samples < 1 or not noise >= 0:
        raise BadValue(f"noise needs samples, and a share >= 0 of the picture's range, not {samples} and {noise}")
    image = np.asarray(image, np.float32)
    rng, sigma = np.random.default_rng(seed), noise * float(image.max() - image.min())
    sums: list[np.ndarray] = []
    for part in portions(samples, batch=batch, unit="sample", progress=progress):
        shape = (part.stop - part.start, *image.shape)
        found = np.float64(gradient(image + np.float32(sigma) * rng.standard_normal(shape, np.float32)))
        new = [(found**order).sum(axis=0) for order in range(1, orders + 1)]
        sums = [before + now for before, now in zip(sums, new)] if sums else new
    return [total / samples for total in sums]


def smooth_grad(gradient: Gradient, image: np.ndarray, **options: Any) -> np.ndarray:
    """SmoothGrad: the mean gradient over noisy copies (Smilkov et al. 2017, arXiv 1706.03825, sec. 2).

    Args:
        gradient: pictures `[n, H, W, K]` -> d y^c / d pictures.
        image: `[H, W, K]`.
        options: as of `noisy_moments`.

    Returns:
        `[H, W, K]`, signed.
    """
    return noisy_moments(gradient, image, 1, **options)[0]


def var_grad(gradient: Gradient, image: np.ndarray, **options: Any) -> np.ndarray:
    """VarGrad: the gradient's variance over noisy copies (Seo et al. 2018, arXiv 1806.03000; Adebayo et al. 2018).

    Args:
        gradient: pictures `[n, H, W, K]` -> d y^c / d pictures.
        image: `[H, W, K]`.
        options: as of `noisy_moments`.

    Returns:
        `[H, W, K]`, >= 0.
    """
    first, second = noisy_moments(gradient, image, 2, **options)
    return np.maximum(second - first**2, 0)


def smooth_grad_cam_plus_plus(
    activations: np.ndarray, first: np.ndarray, second: np.ndarray, third: np.ndarray
) -> np.ndarray:
    """SmoothGrad-CAM++: Grad-CAM++ of the means of the gradient's powers over noisy copies.

    Omeiza et al. 2019 (arXiv 1908.01224), with D_1, D_2, D_3 these means at the layer:

        alpha^kc_ij = D_2^k_ij / (2 D_2^k_ij + sum_ab A^k_ab D_3^k_ij), w^c_k = sum_ij alpha^kc_ij ReLU(D_1^k_ij).

    Where the denominator is not above 0, which Grad-CAM++ cannot come to and the paper does not foresee, alpha is 0.

    Args:
        activations: `[N, h, w, K]` of the pictures without noise.
        first: `[N, h, w, K]`, D_1.
        second: `[N, h, w, K]`, D_2.
        third: `[N, h, w, K]`, D_3.

    Returns:
        `[N, h, w]`, >= 0.

    Raises:
        ValueError: an activation is negative: sum_ab A^k_ab may be so too, and alpha is then no coefficient.
    """
    activations, first = checked(activations, first)
    refuse_negative(activations, "SmoothGrad-CAM++", "the denominator of its alpha")
    denominator = 2 * second + activations.sum(axis=(1, 2), keepdims=True) * third
    alpha = np.divide(second, denominator, out=np.zeros_like(denominator), where=denominator > 0)
    return positive_sum(activations, (alpha * np.maximum(first, 0)).sum(axis=(1, 2)))
