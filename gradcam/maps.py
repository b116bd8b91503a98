"""cam -> heatmap -> overlay, and guided Grad-CAM; NumPy and OpenCV. Inputs are never changed."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import NamedTuple

import cv2
import numpy as np

from gradcam.enlarged import Enlarged as Enlarged, strips as strips
from slim_models.mistakes import BadValue, check_name
from slim_models.sizes import Size, height_and_width

COLORMAPS = {
    "viridis": cv2.COLORMAP_VIRIDIS,
    "inferno": cv2.COLORMAP_INFERNO,
    "turbo": cv2.COLORMAP_TURBO,
    "jet": cv2.COLORMAP_JET,
    "hot": cv2.COLORMAP_HOT,
    "gray": -1,  # none of OpenCV's: the heat map itself
}
DIVERGING = "blue_red"  # of signed maps: what is < 0 is blue, 0 near white, what is > 0 red
# Brewer's RdBu of 11 classes, reversed; the colour-blind tell its ends apart, and it is as light on either side of 0.
_BLUE_RED = np.array(
    [
        *((5, 48, 97), (33, 102, 172), (67, 147, 195), (146, 197, 222), (209, 229, 240)),
        (247, 247, 247),
        *((253, 219, 199), (244, 165, 130), (214, 96, 77), (178, 24, 43), (103, 0, 31)),
    ]
)


class Look(NamedTuple):
    """How heat maps are drawn over pictures: what `overlay` takes.

    The lightness of viridis rises evenly, so that equal steps of a map look equal, also in print without colours, and
    its top is a yellow that stays one over dark and light. Over a picture without its colours every hue is the map's:
    over a blue thing the top of `jet` would be purple, and that of any map another colour.

    Attributes:
        colormap: a key of `COLORMAPS`.
        opacity: of the heat map.
        grey: whether the picture is drawn without its colours.
    """

    colormap: str = "viridis"
    opacity: float = 0.6
    grey: bool = True


LOOK = Look()
_ROUNDING = 1e-5  # of the operations in float32 that may have made a heat map; a level of colour is 4e-3


def heatmap(cam: np.ndarray, size: Size) -> np.ndarray:
    """Enlarges maps bilinearly and divides each by its maximum.

    Args:
        cam: `[N, h, w]`, >= 0.
        size: (height, width) in pixels, of any proportions, or one number for both.

    Returns:
        float32 `[N, height, width]` in [0, 1]; where a cam is zero everywhere so is its heat map.

    Raises:
        ValueError: the cam has another number of dimensions, or is negative or not finite somewhere; no such size.
    """
    if cam.ndim != 3:
        raise BadValue(f"a cam must be [N, h, w], not {list(cam.shape)}")
    size = height_and_width(size)
    result = np.empty((len(cam), *size), np.float32)
    for one, heat in zip(cam, result):
        enlarged = Enlarged(one, size)
        for rows in strips(*size):
            heat[rows] = enlarged[rows]
    return result


def fused(cams: Sequence[np.ndarray]) -> np.ndarray:
    """The maps of several layers as one: the greatest of tanh(2 M / max M) (Jiang et al. 2021, LayerCAM, sec. III-C).

    Args:
        cams: of each layer `[N, h, w]`, >= 0; h and w may differ.

    Returns:
        float32 `[N, h, w]` in [0, 1), of the largest h and w.

    Raises:
        ValueError: as `heatmap`.
    """
    size = max(cam.shape[1] for cam in cams), max(cam.shape[2] for cam in cams)
    return np.tanh(2 * np.max([heatmap(cam, size) for cam in cams], axis=0))


def colorize(heatmap: np.ndarray, colormap: str = LOOK.colormap) -> np.ndarray:
    """A heat map in colours.

    Args:
        heatmap: `[..., H, W]` in [0, 1].
        colormap: a key of `COLORMAPS`, `viridis` from dark violet (0) to yellow (1), `jet` from blue to red; or
            `DIVERGING`, of signed maps that were brought from [-1, 1] to there.

    Returns:
        uint8 `[..., H, W, 3]`, RGB.

    Raises:
        KeyError: no such colormap.
        ValueError: an empty array, or one that is not finite somewhere.
    """
    if colormap != DIVERGING:
        check_name("colormap", colormap, COLORMAPS)
    heatmap = np.asarray(heatmap)
    if not heatmap.size or not np.isfinite(heatmap).all():  # of an empty one OpenCV kills Python
        raise BadValue(f"a heat map must have places and be finite everywhere; this one is {list(heatmap.shape)}")
    levels = np.rint(np.clip(heatmap, 0, 1) * 255).astype(np.uint8)
    table = _table(colormap)
    if table is None:
        return np.repeat(levels[..., None], 3, axis=-1)
    # What table[:, 0][levels] says, ten times as fast.
    return cv2.applyColorMap(levels.reshape(1, -1), table).reshape(*levels.shape, 3)


@functools.cache
def _table(colormap: str) -> np.ndarray | None:
    """The colours of the 256 levels, uint8 `[256, 1, 3]`, RGB; None is the levels themselves."""
    if colormap == "gray":
        return None
    if colormap == DIVERGING:
        places = np.linspace(0, len(_BLUE_RED) - 1, 256)
        channels = [np.interp(places, range(len(_BLUE_RED)), channel) for channel in _BLUE_RED.T]
        return np.rint(np.stack(channels, axis=-1)).astype(np.uint8)[:, None]
    levels = np.arange(256, dtype=np.uint8).reshape(256, 1)
    return np.ascontiguousarray(cv2.applyColorMap(levels, COLORMAPS[colormap])[..., ::-1])  # OpenCV's is BGR


def overlay(
    images: np.ndarray,
    heatmap: np.ndarray | Enlarged,
    colormap: str = LOOK.colormap,
    opacity: float = LOOK.opacity,
    grey: bool = LOOK.grey,
) -> np.ndarray:
    """Heat maps in colours over their pictures.

    Args:
        images: `[..., H, W, 3]`, RGB in [0, 255].
        heatmap: `[..., H, W]` in [0, 1]; or of one picture its cam, `Enlarged` to its size.
        colormap: as of `colorize`.
        opacity: of the heat map: 0 leaves the picture alone, 1 covers it.
        grey: whether the picture is drawn without its colours, so that all colours are the map's.

    Returns:
        uint8 `[..., H, W, 3]`, RGB.

    Raises:
        KeyError: no such colormap.
        ValueError: shapes that do not fit, or values that are not in those ranges or not finite; pictures that
            look like [0, 1].
    """
    images = np.asarray(images)
    if not isinstance(heatmap, Enlarged):  # which is in [0, 1]
        heatmap = np.asarray(heatmap)
    if len(heatmap.shape) < 2 or 0 in heatmap.shape or images.shape != (*heatmap.shape, 3):
        shapes = f"{list(images.shape)} and {list(heatmap.shape)}"
        raise BadValue(f"pictures and heat maps must be [..., H, W, 3] and [..., H, W], not {shapes}")
    check_pixels(images)
    if isinstance(heatmap, np.ndarray):
        low, high = float(heatmap.min()), float(heatmap.max())
        if not (low >= -_ROUNDING and high <= 1 + _ROUNDING):  # so that a NaN is outside too
            raise BadValue(f"a heat map must be in [0, 1]; this one is in [{low:g}, {high:g}]")
    if not 0 <= opacity <= 1:
        raise BadValue(f"the opacity of a heat map must be from 0 to 1, not {opacity}")
    result = np.empty(images.shape, np.uint8)
    for index in np.ndindex(images.shape[:-3]):
        for rows in strips(*images.shape[-3:-1]):
            heat = heatmap.levels(rows) if isinstance(heatmap, Enlarged) else heatmap[index][rows]
            pixels = images[index][rows]
            base = (1 - opacity) * np.float32(luma(pixels) if grey else pixels)
            result[index][rows] = np.rint(np.clip(base + opacity * colorize(heat, colormap), 0, 255))
    return result


def luma(images: np.ndarray) -> np.ndarray:
    """Pictures `[..., H, W, 3]`, RGB in [0, 255], without their colours, as `[..., H, W, 1]` of Rec. 601's luma.

    0.299 R + 0.587 G + 0.114 B; uint8 stays uint8, all else becomes float32.
    """
    rows = images.reshape(-1, *images.shape[-2:])
    rows = np.ascontiguousarray(rows, np.uint8 if images.dtype == np.uint8 else np.float32)
    return cv2.cvtColor(rows, cv2.COLOR_RGB2GRAY).reshape(*images.shape[:-1], 1)


def as_pixels(image: np.ndarray) -> np.ndarray:
    """What a network was fed as a picture to look at: uint8 `[H, W, 3]`.

    Args:
        image: `[H, W, 3]`, RGB in [0, 255], as it is; any other `[H, W, K]` is the mean of its channels as grey,
            between its least and its greatest.
    """
    image = np.asarray(image, np.float64)
    if image.shape[2] == 3 and image.min() >= 0 and image.max() <= 255:
        return np.rint(image).astype(np.uint8)
    grey = image.mean(axis=2, keepdims=True)
    extent = grey.max() - grey.min()
    levels = 255 * (grey - grey.min()) / extent if extent > 0 else np.full_like(grey, 128)
    return np.repeat(np.rint(levels).astype(np.uint8), 3, axis=2)


def as_png(image: np.ndarray) -> bytes:
    """A picture, uint8 `[H, W, 3]`, RGB, as the bytes of a PNG file."""
    return cv2.imencode(".png", np.ascontiguousarray(image[..., ::-1]))[1].tobytes()


def check_pixels(images: np.ndarray) -> None:
    """Refuses what are no pictures' values.

    Args:
        images: RGB in [0, 255], of any numeric type and any shape.

    Raises:
        ValueError: they are no numbers, not finite or not in [0, 255], or look like [0, 1].
    """
    if images.dtype.kind not in "fiu":
        raise BadValue(f"images must be numbers, not {images.dtype}")
    if images.dtype == np.uint8 or not images.size:  # a photograph's, which can be nothing else
        return
    low, high = float(images.min()), float(images.max())  # NaN if there is one
    if not (np.isfinite(low) and np.isfinite(high)):
        raise BadValue("images must be finite; there is a NaN or an infinity in them")
    if low < 0 or high > 255 or (images.dtype.kind == "f" and 0 < high <= 1):
        raise BadValue(f"images must be RGB in [0, 255], not preprocessed; these are in [{low:g}, {high:g}]")


def guided_grad_cam(saliency: np.ndarray, heatmap: np.ndarray) -> np.ndarray:
    """Guided Grad-CAM: the raw guided saliency times the heat map (Selvaraju et al. 2017, sec. 3.2).

    Args:
        saliency: `[N, H, W, K]`, guided backprop as it is, signed, of K channels (3 of RGB); zero stays zero.
        heatmap: `[N, H, W]` in [0, 1].

    Returns:
        `[N, H, W, K]`, signed.
    """
    return saliency * heatmap[..., None]


def display(saliency: np.ndarray, percentile: float = 99.5) -> np.ndarray:
    """Signed saliency as a picture: zero is mid-grey, each picture scaled by its own largest values.

    For looking at only: scaled saliency is never an input of anything.

    Args:
        saliency: `[N, H, W, 3]`, signed.
        percentile: of the absolute values, shown as full contrast; 100 is the maximum. Gradients
            have a few extreme values, which at 100 leave the rest grey.

    Returns:
        uint8 `[N, H, W, 3]`; all 128 where the saliency is zero everywhere.

    Raises:
        ValueError: the saliency is not finite somewhere.
    """
    if not np.isfinite(saliency).all():
        raise BadValue("saliency must be finite everywhere")
    scale = np.percentile(np.abs(saliency), percentile, axis=(1, 2, 3), keepdims=True)
    scale = np.where(scale > 0, scale, np.abs(saliency).max(axis=(1, 2, 3), keepdims=True))
    signed = np.divide(saliency, scale, out=np.zeros_like(saliency, np.float64), where=scale > 0)
    return np.rint(127.5 + 127.5 * np.clip(signed, -1, 1)).astype(np.uint8)


def magnitude(saliency: np.ndarray, smooth: float = 0.02) -> np.ndarray:
    """Signed saliency as a map of where it is large: the largest absolute value of the channels.

    Simonyan et al. 2014 (arXiv 1312.6034), sec. 3.1; then blurred, because single pixels of a gradient
    neither make segments nor rank places.

    Args:
        saliency: `[N, H, W, K]`, signed.
        smooth: standard deviation of the Gaussian as a share of the height; 0 leaves the values alone.

    Returns:
        float32 `[N, H, W]`, >= 0.

    Raises:
        ValueError: `smooth` is no share.
    """
    return smoothed(np.abs(np.asarray(saliency, np.float32)).max(axis=-1), smooth)


def smoothed(maps: np.ndarray, smooth: float) -> np.ndarray:
    """Maps `[N, H, W]` blurred by a Gaussian of a share of their height; a ValueError if that is no share."""
    if not 0 <= smooth <= 1:
        raise BadValue(f"saliency is blurred by a share of the height, from 0 to 1, not {smooth}")
    sigma = smooth * maps.shape[1]
    return np.stack([cv2.GaussianBlur(one, (0, 0), sigma) for one in maps]) if sigma else maps
