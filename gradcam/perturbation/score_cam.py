"""Score-CAM and Ablation-CAM: channels weighted by what the class scores with and without them; NumPy."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np

from gradcam.perturbation.scoring import Score, in_portions, masked, mean_colour
from slim_models.mistakes import BadValue


def score_cam_weights(
    score: Score,
    image: np.ndarray,
    activations: np.ndarray,
    *,
    channels: int | None = None,
    batch: int = 32,
    progress: bool = False,
) -> np.ndarray:
    """Score-CAM: a channel weighs what the class scores of the picture seen through it.

    Wang et al. 2020 (arXiv 1910.01279), def. 2 and alg. 1: with H_k = s(up(A^k)), up bilinear and s to [0, 1],
    C_k = f(X * H_k) - f(X_b), and alpha = softmax(C) over the channels. What a mask hides is the picture X_b of the
    mean colour, which a network whose preprocessing subtracts it sees as 0. A channel that is the same everywhere shows
    nothing of the picture: C_k is 0.

    Args:
        score: pictures `[n, H, W, C]` -> `[n]`; of the paper the class's logit.
        image: `[H, W, C]`.
        activations: `[h, w, K]` of a layer.
        channels: how many channels, those of the largest variance, are looked through, the others weighing 0; None
            is all. Faster Score-CAM (tf-keras-vis) takes 10.
        batch: pictures a run; memory is bounded by it.
        progress: whether a bar is shown, if on a terminal.

    Returns:
        `[K]`, >= 0, of sum 1: to be given to `cams.positive_sum`.

    Raises:
        ValueError: no channels.
    """
    if channels is not None and channels < 1:
        raise BadValue(f"Score-CAM looks through at least 1 channel, not {channels}")
    height, width = image.shape[:2]
    order = np.argsort(-activations.var(axis=(0, 1), dtype=np.float64), kind="stable")[:channels]
    colour = mean_colour(image)

    def through(part: slice) -> np.ndarray:
        maps = [cv2.resize(np.float32(activations[..., k]), (width, height)) for k in order[part]]
        return score(masked(image, np.stack([_between_0_and_1(one) for one in maps]), colour))

    scores = in_portions(len(order), through, batch=batch, unit="channel", progress=progress)
    nothing = score(np.broadcast_to(colour, image.shape)[None].astype(np.float32))[0]
    weights = np.zeros(activations.shape[-1])
    increase = np.asarray(scores, np.float64) - nothing
    exponentials = np.exp(increase - increase.max())
    weights[order] = exponentials / exponentials.sum()
    return weights


def _between_0_and_1(array: np.ndarray) -> np.ndarray:
    low, high = float(array.min()), float(array.max())
    return (array - low) / (high - low) if high > low else np.zeros_like(array)


def ablation_weights(
    score: Callable[[np.ndarray], np.ndarray],
    activations: np.ndarray,
    own: float,
    *,
    batch: int = 32,
    progress: bool = False,
) -> np.ndarray:
    """Ablation-CAM: a channel weighs what the class loses without it.

    Desai & Ramaswamy 2020 (WACV, Ablation-CAM): w_k = (y - y_k) / y, y_k the score with the channel at 0
    everywhere. The factor 1 / y, one number a picture, is left out: it would turn maps round where y < 0.

    Args:
        score: activations `[n, h, w, K]` in the layer's place -> what the class scores, `[n]`.
        activations: `[h, w, K]` of a layer.
        own: what the class scores with them as they are, y.
        batch: copies of the activations a run; memory is bounded by it.
        progress: whether a bar is shown, if on a terminal.

    Returns:
        `[K]`, signed; 0 for channels that are silent already, which are not run.
    """
    heard = np.flatnonzero(activations.any(axis=(0, 1)))
    weights = np.zeros(activations.shape[-1])
    if not len(heard):
        return weights

    def without(part: slice) -> np.ndarray:
        copies = np.repeat(activations[None], len(heard[part]), axis=0)
        for copy, k in zip(copies, heard[part]):
            copy[..., k] = 0
        return score(copies)

    scores = in_portions(len(heard), without, batch=batch, unit="channel", progress=progress)
    weights[heard] = own - np.asarray(scores, np.float64)
    return weights
