"""How the pictures of a reference were prepared: what its net was fed, beside what ours would have been."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from gradcam.comparison.references import channels_last, network_inputs, ordered, pictures_of
from slim_models.builders import RGB_MEAN

_CLOSE = 1e-3  # of a pixel's 255 values: rounding of a mean and a scale
_FAR = 60  # how far a mean picture may be from ImageNet's mean, and still be one


class Prepared(NamedTuple):
    """The pictures of a reference.

    Attributes:
        images: float32 `[N, H, H, 3]`, what our network has to be fed to see what the reference's saw; beyond [0, 255]
            where it was prepared with another mean.
        inputs: `[N, H, H, 3]`, what the reference's net should have been fed, in its own order of channels.
        said: how they were prepared, if not with ImageNet's mean; else empty.
    """

    images: np.ndarray
    inputs: np.ndarray
    said: str = ""


def prepared(arrays: dict[str, np.ndarray], input_order: str, less_mean: bool) -> Prepared:
    """Finds the mean and the scale of a reference out of its `images` and its `input`.

    Args:
        arrays: of the reference.
        input_order: `"BGR"` or `"RGB"`, of our network.
        less_mean: whether our network takes pictures less ImageNet's mean; of any other only the pictures are used.

    Raises:
        ValueError: there are no pictures.
    """
    given = next((channels_last(np.asarray(arrays[name])) for name in ("input", "data") if name in arrays), None)
    if "images" not in arrays and given is not None:
        return Prepared(_unprepared(given, input_order), given)
    images = pictures_of(arrays, input_order).astype(np.float32)
    ours = network_inputs(images, input_order)
    if given is None or not less_mean or given.shape != ours.shape or np.abs(given - ours).max() <= _CLOSE:
        return Prepared(images, ours)
    theirs, said = _explained(ordered(images, input_order), given)
    return Prepared(_unprepared(given, input_order), ours if theirs is None else theirs, said)


def _unprepared(inputs: np.ndarray, input_order: str) -> np.ndarray:
    """The pictures that our network makes these inputs of, whatever they are."""
    return ordered(inputs.astype(np.float32), input_order) + np.array(RGB_MEAN, np.float32)


def _explained(pixels: np.ndarray, given: np.ndarray) -> tuple[np.ndarray | None, str]:
    """`(pixels - mean) * scale` that is what was given, and that in words; None if it is not made like that."""
    centred = pixels - pixels.mean(axis=(0, 1, 2), dtype=np.float64)
    size = np.square(centred).sum()
    scale = float((centred * given).sum() / size) if size else 1.0
    for factor in (1.0, float(f"{scale:.4g}"), scale):
        if factor <= 0:
            continue
        means = pixels - given / factor
        mean = means.mean(axis=(0, 1, 2))
        scaled = f" times {factor:.4g}" * (factor != 1)
        if np.abs(means - mean).max() <= _CLOSE:
            return (pixels - mean) * factor, f"the pictures less a mean of {_numbers(mean)}{scaled}"
        picture = means.mean(axis=0)
        near = np.abs(picture - np.sort(RGB_MEAN)).max() < _FAR
        if near and np.abs(means - picture).max() <= _CLOSE:
            return (pixels - picture) * factor, f"the pictures less a mean picture, of about {_numbers(mean)}{scaled}"
    return None, ""


def _numbers(mean: np.ndarray) -> str:
    return ", ".join(f"{value:.6g}" for value in mean)
