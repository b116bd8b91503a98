"""Definitions of others that need activations and gradients alone, or saliency; NumPy."""

from __future__ import annotations

import numpy as np

from gradcam import cams
from gradcam.comparison.defining import MEAN, Named, of_arrays
from gradcam.comparison.matching import resized
from gradcam.explanation import Explanation


def _gated(activations: np.ndarray, gradients: np.ndarray) -> np.ndarray:
    return cams.signed_grad_cam(activations, np.maximum(gradients, 0) * (activations > 0))


def _alpha(activations: np.ndarray, gradients: np.ndarray, sums: np.ndarray, epsilon: float = 0.0) -> np.ndarray:
    """g^2 / (2 g^2 + sums g^3 + epsilon), 0 where nothing is divided by."""
    below = 2 * gradients**2 + sums * gradients**3 + epsilon
    return np.divide(gradients**2, below, out=np.zeros_like(below), where=(below != 0) & (gradients != 0))


def _plus_plus(
    activations: np.ndarray, gradients: np.ndarray, *, mean: bool = False, normal: bool = False, epsilon: float = 0.0
) -> np.ndarray:
    sums = (activations.mean if mean else activations.sum)(axis=(1, 2), keepdims=True)
    alpha = _alpha(activations, gradients, sums, epsilon)
    if normal:
        total = alpha.sum(axis=(1, 2), keepdims=True)
        alpha = np.divide(alpha, total, out=np.zeros_like(alpha), where=total != 0)
    return cams.positive_sum(activations, (alpha * np.maximum(gradients, 0)).sum(axis=(1, 2)))


def _plus_plus_inside(activations: np.ndarray, gradients: np.ndarray) -> np.ndarray:
    below = 2 * gradients**2 + (activations * gradients**3).sum(axis=(1, 2), keepdims=True) + 1e-8
    alpha = np.where(gradients != 0, gradients**2 / below, 0)
    return cams.positive_sum(activations, (alpha * np.maximum(gradients, 0)).sum(axis=(1, 2)))


def _cubes(activations: np.ndarray, gradients: np.ndarray) -> np.ndarray:
    return cams.positive_sum(activations, (gradients**2 * np.maximum(gradients, 0)).sum(axis=(1, 2)))


def _centred(arrays: np.ndarray, sign: int) -> np.ndarray:
    flat = arrays.reshape(-1, arrays.shape[-1])
    flat = flat - flat.mean(axis=0)
    first = np.linalg.svd(flat, full_matrices=False)[2][0]
    return np.maximum(sign * (flat @ first), 0).reshape(arrays.shape[:3])


def _guided_nearest(one: Explanation) -> np.ndarray:
    heat = resized(np.float64(one.cam()[0]), one.images.shape[1:3], "nearest")
    return one.saliency["guided"][0] * heat[..., None]


def _prepared_product(one: Explanation) -> np.ndarray:
    return one.saliency["backprop"][0] * (one.images[0] - MEAN)


def at_layers() -> list[Named]:
    """Definitions of others of methods that only need activations and gradients."""
    cam = of_arrays
    by_chance, turned = "with the sign that the decomposition happens to give", "with the opposite of the sign of ours"
    return [
        ("grad_cam", "without its ReLU", cam(cams.signed_grad_cam)),
        ("grad_cam", "of gradients where they and the activations are above 0, without its ReLU", cam(_gated)),
        ("grad_cam_plus_plus", "with 1e-6 added below the line", cam(lambda a, g: _plus_plus(a, g, epsilon=1e-6))),
        ("grad_cam_plus_plus", "with g^2 in place of alpha", cam(_cubes)),
        ("grad_cam_plus_plus", "with sum_ab (A_ab g_ab^3) in place of sum_ab (A_ab) g_ij^3", cam(_plus_plus_inside)),
        ("grad_cam_plus_plus", "with alphas that add up to 1", cam(lambda a, g: _plus_plus(a, g, normal=True))),
        ("grad_cam_plus_plus", "with the mean of A in place of its sum", cam(lambda a, g: _plus_plus(a, g, mean=True))),
        ("eigen_cam", f"of centred activations, {by_chance}", cam(lambda a, g: _centred(a, 1))),
        ("eigen_cam", f"of centred activations, {turned}", cam(lambda a, g: _centred(a, -1))),
        ("eigen_grad_cam", f"of centred products, {by_chance}", cam(lambda a, g: _centred(a * g, 1))),
        ("eigen_grad_cam", f"of centred products, {turned}", cam(lambda a, g: _centred(a * g, -1))),
        (
            "guided_grad_cam",
            "with the map enlarged to the nearest place and not divided by its maximum",
            _guided_nearest,
        ),
        ("gradient_input", "of what the network takes, where the mean colour is 0", _prepared_product),
    ]
