"""CAM variants: what a layer's activations and gradients say about a class. Pure NumPy.

Every method is a function `(activations, gradients) -> cam` on arrays

- `activations`: `[N, h, w, K]`, A^k of the paper, after the ReLU;
- `gradients`: `[N, h, w, K]`, the true gradient d y^c / d A^k of the class's logit;
- the result, `cam`: `[N, h, w]`, >= 0, not normalised.

They take the arrays of any framework, once laid out this way, and leave their inputs unchanged. What is not finite is
a ValueError: one NaN would blot out a whole map.

Activations below 0, as those of a swish or of a layer before its ReLU, are allowed where a formula stays defined.
A channel's weight says whether more of it raises the class's score, and where the channel is below 0 that counts the
other way round: a negative activation of a channel that speaks against the class is hot. The formulas that divide by a
sum of activations (`grad_cam_plus_plus`, `xgrad_cam`) are not defined there, and say so.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from slim_models.mistakes import BadValue, check_name

CamMethod = Callable[[np.ndarray, np.ndarray], np.ndarray]


def grad_cam(activations: np.ndarray, gradients: np.ndarray) -> np.ndarray:
    """Grad-CAM: channels weighted by the spatial mean of their gradient.

    Selvaraju et al. 2017 (arXiv 1610.02391), eq. 1: alpha^c_k = 1/Z sum_ij d y^c / d A^k_ij, and
    eq. 2: L^c = ReLU(sum_k alpha^c_k A^k).

    Args:
        activations: `[N, h, w, K]`.
        gradients: `[N, h, w, K]`.

    Returns:
        `[N, h, w]`, >= 0.
    """
    activations, gradients = checked(activations, gradients)
    return positive_sum(activations, gradients.mean(axis=(1, 2)))


def counterfactual(activations: np.ndarray, gradients: np.ndarray) -> np.ndarray:
    """The regions whose removal would raise the class's score: eq. 1 with the gradient negated.

    Selvaraju et al. 2017, sec. 3.3: alpha^c_k = 1/Z sum_ij - d y^c / d A^k_ij.

    Args:
        activations: `[N, h, w, K]`.
        gradients: `[N, h, w, K]`.

    Returns:
        `[N, h, w]`, >= 0.
    """
    return grad_cam(activations, np.negative(gradients))


def grad_cam_plus_plus(activations: np.ndarray, gradients: np.ndarray) -> np.ndarray:
    """Grad-CAM++: positive gradients weighted by closed-form coefficients, place by place.

    Chattopadhay et al. 2018 (arXiv 1710.11063), eq. 19, with S the logit:

        alpha^kc_ij = (dS/dA^k_ij)^2 / (2 (dS/dA^k_ij)^2 + sum_ab A^k_ab (dS/dA^k_ij)^3)

    and w^c_k = sum_ij alpha^kc_ij ReLU(dY/dA^k_ij). The paper's Y is exp(S), whose derivative is
    exp(S) dS/dA; the factor exp(S), one positive number an image, is left out.

    Args:
        activations: `[N, h, w, K]`.
        gradients: `[N, h, w, K]`.

    Returns:
        `[N, h, w]`, >= 0.

    Raises:
        ValueError: an activation is negative: sum_ab A^k_ab may be so too, and eq. 19 is then no coefficient.
    """
    activations, gradients = checked(activations, gradients)
    refuse_negative(activations, "Grad-CAM++", "the denominator of its eq. 19")
    # Only places with a positive gradient count, and there eq. 19 divided by the squared gradient is
    # 1 / (2 + sum_ab A_ab g): no 0 / 0, and no squares that underflow.
    positive = np.maximum(gradients, 0)
    denominator = 2 + activations.sum(axis=(1, 2), keepdims=True) * positive
    alpha = np.divide(1, denominator, out=np.zeros_like(denominator), where=denominator != 0)
    return positive_sum(activations, (alpha * positive).sum(axis=(1, 2)))


def xgrad_cam(activations: np.ndarray, gradients: np.ndarray) -> np.ndarray:
    """XGrad-CAM: channels weighted by the mean of their gradient, itself weighted by the activation.

    Fu et al. 2020 (arXiv 2008.02312), what its two axioms lead to:
    alpha^c_k = sum_ij (A^k_ij / sum_ab A^k_ab) d y^c / d A^k_ij.
    A channel that is silent everywhere gets the weight 0.

    Args:
        activations: `[N, h, w, K]`.
        gradients: `[N, h, w, K]`.

    Returns:
        `[N, h, w]`, >= 0.

    Raises:
        ValueError: an activation is negative: A^k_ij / sum_ab A^k_ab is then no share.
    """
    activations, gradients = checked(activations, gradients)
    refuse_negative(activations, "XGrad-CAM", "the sum that it divides by")
    total = activations.sum(axis=(1, 2))
    product = (activations * gradients).sum(axis=(1, 2))
    return positive_sum(activations, np.divide(product, total, out=np.zeros_like(product), where=total != 0))


def hires_cam(activations: np.ndarray, gradients: np.ndarray) -> np.ndarray:
    """HiResCAM: activations times gradients, place by place, without averaging.

    Draelos & Carin 2020 (arXiv 2011.08891): ReLU(sum_k d y^c / d A^k * A^k).

    Args:
        activations: `[N, h, w, K]`.
        gradients: `[N, h, w, K]`.

    Returns:
        `[N, h, w]`, >= 0.
    """
    activations, gradients = checked(activations, gradients)
    return np.maximum(np.einsum("nhwk,nhwk->nhw", activations, gradients), 0)


def layer_cam(activations: np.ndarray, gradients: np.ndarray) -> np.ndarray:
    """LayerCAM: activations times positive gradients, place by place; for early layers too.

    Jiang et al. 2021 (IEEE TIP 30, LayerCAM): ReLU(sum_k ReLU(d y^c / d A^k) * A^k).

    Args:
        activations: `[N, h, w, K]`.
        gradients: `[N, h, w, K]`.

    Returns:
        `[N, h, w]`, >= 0.
    """
    activations, gradients = checked(activations, gradients)
    return hires_cam(activations, np.maximum(gradients, 0))


def grad_cam_elementwise(activations: np.ndarray, gradients: np.ndarray) -> np.ndarray:
    """Grad-CAM element-wise: what each element adds to the score, where it adds to it.

    sum_k ReLU(d y^c / d A^k * A^k), as pytorch-grad-cam has it (Gildenblat et al. 2021, GradCAMElementWise). After a
    ReLU it is LayerCAM; below 0 an activation whose gradient is negative counts too.

    Args:
        activations: `[N, h, w, K]`.
        gradients: `[N, h, w, K]`.

    Returns:
        `[N, h, w]`, >= 0.
    """
    activations, gradients = checked(activations, gradients)
    return np.maximum(activations * gradients, 0).sum(axis=-1)


def eigen_cam(activations: np.ndarray, gradients: np.ndarray) -> np.ndarray:
    """EigenCAM: the activations' first principal component; of no class, the gradients are not used.

    Muhammad & Yeasin 2020 (arXiv 2008.00299), sec. III: with A = U S V^T of `[h w, K]`, not centred, L = A v_1. A
    singular vector has no sign: the one is taken in which the map agrees with the activations' sum, which after a ReLU
    makes it >= 0 everywhere.

    Args:
        activations: `[N, h, w, K]`.
        gradients: `[N, h, w, K]`, of any values.

    Returns:
        `[N, h, w]`, >= 0.
    """
    return _principal(checked(activations, gradients)[0])


def eigen_grad_cam(activations: np.ndarray, gradients: np.ndarray) -> np.ndarray:
    """EigenGradCAM: EigenCAM of activations times gradients, and so of a class.

    The first principal component of d y^c / d A^k * A^k, as pytorch-grad-cam has it (Gildenblat et al. 2021,
    EigenGradCAM), not centred; its sign is the one in which it agrees with their sum, HiResCAM before its ReLU.

    Args:
        activations: `[N, h, w, K]`.
        gradients: `[N, h, w, K]`.

    Returns:
        `[N, h, w]`, >= 0.
    """
    activations, gradients = checked(activations, gradients)
    return _principal(activations * gradients)


def _principal(arrays: np.ndarray) -> np.ndarray:
    """The projection of each place's K numbers on the first right singular vector of all, its positive part."""
    count, height, width, channels = arrays.shape
    flat = arrays.reshape(count, height * width, channels).astype(np.float64)
    turned = flat.swapaxes(1, 2)
    if height * width <= channels:  # A v_1 = s_1 u_1, whichever of A A^T and A^T A is smaller
        values, vectors = np.linalg.eigh(flat @ turned)
        found = vectors[..., -1] * np.sqrt(np.maximum(values[..., -1:], 0))
    else:
        found = (flat @ np.linalg.eigh(turned @ flat)[1][..., -1:])[..., 0]
    signs = np.sign((found * flat.sum(axis=-1)).sum(axis=-1, keepdims=True))
    return np.maximum(signs * found, 0).reshape(count, height, width).astype(arrays.dtype)


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
    signed = signed_grad_cam(activations, gradients)
    return signed - signed.min(axis=(1, 2), keepdims=True)


def signed_grad_cam(activations: np.ndarray, gradients: np.ndarray) -> np.ndarray:
    """Eq. 2 of Grad-CAM without its ReLU, as it is: what speaks for the class is > 0, what speaks against it < 0.

    No cam, as it has signs: for figures of `without_relu`, where 0 has a colour of its own.

    Args:
        activations: `[N, h, w, K]`.
        gradients: `[N, h, w, K]`.

    Returns:
        `[N, h, w]`, signed.
    """
    activations, gradients = checked(activations, gradients)
    return weighted_sum(activations, gradients.mean(axis=(1, 2)))


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

    Zhou et al. 2016 (arXiv 1512.04150): M_c = sum_k w^c_k A^k. Negative values, which lie below any
    threshold, are 0 here.

    Args:
        activations: `[N, h, w, K]` of the last layer.
        class_weights: `[N, K]`, the weights of each image's class.

    Returns:
        `[N, h, w]`, >= 0.
    """
    return positive_sum(_finite(np.asarray(activations), "activations"), _finite(np.asarray(class_weights), "weights"))


# By name, all that take activations and gradients alone.
FORMULAS: dict[str, CamMethod] = {
    formula.__name__: formula
    for formula in (
        *(grad_cam, counterfactual, grad_cam_plus_plus, xgrad_cam, hires_cam, layer_cam, grad_cam_elementwise),
        *(eigen_cam, eigen_grad_cam, without_relu, max_pooled, absolute_gradients),
    )
}


def formula(name: str) -> CamMethod:
    """The formula of that name.

    Raises:
        KeyError: there is none.
    """
    check_name("formula", name, FORMULAS)
    return FORMULAS[name]


def weighted_sum(activations: np.ndarray, channel_weights: np.ndarray) -> np.ndarray:
    """sum_k channel_weights_k A^k, signed: `[N, h, w, K]`, `[N, K]` -> `[N, h, w]`."""
    return np.einsum("nhwk,nk->nhw", activations, channel_weights)


def positive_sum(activations: np.ndarray, channel_weights: np.ndarray) -> np.ndarray:
    """ReLU(sum_k channel_weights_k A^k), eq. 2 of Grad-CAM: `[N, h, w, K]`, `[N, K]` -> `[N, h, w]`."""
    return np.maximum(weighted_sum(activations, channel_weights), 0)


def checked(activations: np.ndarray, gradients: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Both as arrays of at least float32, since sums over a map overflow half precision; a ValueError unless finite."""
    first, second = (np.asarray(array) for array in (activations, gradients))
    if first.ndim != 4 or first.shape != second.shape:
        raise BadValue(
            f"activations and gradients must both be [N, h, w, K], not {list(first.shape)} and {list(second.shape)}"
        )
    return _finite(first, "activations"), _finite(second, "gradients")


def _finite(array: np.ndarray, name: str) -> np.ndarray:
    array = array.astype(np.result_type(array, np.float32))
    if not np.isfinite(array).all():
        bad = [int(n) for n in np.flatnonzero(~np.isfinite(array).reshape(len(array), -1).all(axis=1))]
        raise BadValue(f"{name} must be finite; there is a NaN or an infinity in those of image {bad[0]}")
    return array


def refuse_negative(activations: np.ndarray, title: str, what: str) -> None:
    """Raises a ValueError if activations can be negative, as those of a swish are: the method is not defined there."""
    lowest = float(activations.min(initial=0))
    if lowest < 0:
        raise BadValue(
            f"{title} is not defined for activations below 0 (these go down to {lowest:.3g}), as {what} may vanish or "
            "be negative: it is a method for layers after a ReLU"
        )
