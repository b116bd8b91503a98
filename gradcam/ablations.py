"""What the paper's appendix leaves out of Grad-CAM, piece by piece; pure NumPy.

Functions `(activations, gradients) -> cam` as those of `gradcam.cams`. The ablations that put another ReLU rule
in place of the true gradient need no function: they are `Explanation.cam(rule=...)`.
"""

from __future__ import annotations

import numpy as np

from gradcam.cams import checked, grad_cam, positive_sum, weighted_sum


def without_relu(activations: np.ndarray, gradients: np.ndarray) -> np.ndarray:
    """Eq. 2 of Grad-CAM without its ReLU: sum_k alpha^c_k A^k, signed, less its minimum.

    A heat map is >= 0, so each map is raised by its own minimum, as it would be for display: places that speak
    most against the class are 0, and places without a say are not.

    Args:
        activations: `[N, h, w, K]`.
        gradients: `[N, h, w, K]`.

    Returns:
        `[N, h, w]`, >= 0.
    """
    activations, gradients = checked(activations, gradients)
    signed = weighted_sum(activations, gradients.mean(axis=(1, 2)))
    return signed - signed.min(axis=(1, 2), keepdims=True)


def max_pooled(activations: np.ndarray, gradients: np.ndarray) -> np.ndarray:
    """Grad-CAM with the gradients' maximum in place of their mean: alpha^c_k = max_ij d y^c / d A^k_ij.

    Args:
        activations: `[N, h, w, K]`.
        gradients: `[N, h, w, K]`.

    Returns:
        `[N, h, w]`, >= 0.
    """
    activations, gradients = checked(activations, gradients)
    return positive_sum(activations, gradients.max(axis=(1, 2)))


def absolute_gradients(activations: np.ndarray, gradients: np.ndarray) -> np.ndarray:
    """Grad-CAM of the gradients' absolute values: alpha^c_k = 1/Z sum_ij |d y^c / d A^k_ij|.

    Args:
        activations: `[N, h, w, K]`.
        gradients: `[N, h, w, K]`.

    Returns:
        `[N, h, w]`, >= 0.
    """
    return grad_cam(activations, np.abs(gradients))


def class_activation_map(activations: np.ndarray, class_weights: np.ndarray) -> np.ndarray:
    """CAM, which Grad-CAM generalises: for networks whose logits are linear in the mean of the last layer.

    Zhou et al. 2016 (arXiv 1512.04150), eq. 2: M_c = sum_k w^c_k A^k. Negative values, which lie below any
    threshold, are 0 here.

    Args:
        activations: `[N, h, w, K]` of the last layer.
        class_weights: `[N, K]`, the weights of each image's class.

    Returns:
        `[N, h, w]`, >= 0.
    """
    return positive_sum(activations, class_weights)
