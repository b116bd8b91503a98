"""cam -> heatmap -> overlay, and guided Grad-CAM; NumPy and OpenCV. Inputs are never changed."""

from __future__ import annotations

import functools
from collections.abc import Iterator

import cv2
import numpy as np

from slim_models.mistakes import BadValue, UnknownName
from slim_models.sizes import Size, height_and_width

COLORMAPS = {
    "jet": cv2.COLORMAP_JET,
    "turbo": cv2.COLORMAP_TURBO,
    "viridis": cv2.COLORMAP_VIRIDIS,
    "inferno": cv2.COLORMAP_INFERNO,
    "hot": cv2.COLORMAP_HOT,
    "gray": None,  # the heat map itself
}
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


class Enlarged:
    """A cam as a heat map whose rows are made when they are looked at: that of a large photograph is nowhere whole.

    `Enlarged(cam, size)[2:5]` is `heatmap(cam[None], size)[0][2:5]`, `[3, width]`.

    Attributes:
        shape: (height, width).
    """

    def __init__(self, cam: np.ndarray, size: Size):
        """Takes a cam `[h, w]` and a size; errors as of `heatmap`."""
        if not np.isfinite(cam).all() or (cam < 0).any():
            raise BadValue("a cam must be finite and >= 0 everywhere")
        self.shape = height_and_width(size)
        height, width = self.shape
        # Divided first, by the peak of the small map, so that the smallest cams do not underflow on the way.
        cam = _divided(cam)
        left, right, share = _between(cam.shape[1], width)
        self._wide = cam[:, left] + (cam[:, right] - cam[:, left]) * share
        self._above, self._below, share = _between(len(cam), height)
        self._share = share[:, None]
        # Rows between the same two of the cam go from one to the other in a line: the largest is the first or the last.
        turns = np.flatnonzero(np.diff(self._above))
        ends = np.unique([0, *turns, *(turns + 1), height - 1])
        self._peak = max(float(self._undivided(ends[part]).max()) for part in strips(len(ends), width)) or 1.0

    def __getitem__(self, rows: slice) -> np.ndarray:
        """Rows of the heat map: float32 `[n, width]` in [0, 1]."""
        return (self._undivided(rows) / self._peak).astype(np.float32)

    def _undivided(self, rows: slice | np.ndarray) -> np.ndarray:
        """Rows of the map whose small one has the peak 1, float64."""
        above = self._wide[self._above[rows]]
        return above + (self._wide[self._below[rows]] - above) * self._share[rows]


def _between(count: int, size: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Where the centres of `size` pixels lie among those of `count` places: the two around each, the second's share."""
    places = np.clip((np.arange(size) + 0.5) * (count / size) - 0.5, 0, count - 1)
    before = places.astype(int)
    return before, np.minimum(before + 1, count - 1), places - before


def strips(height: int, width: int, places: int = 2**15) -> Iterator[slice]:
    """The rows of a picture, some at a time, so that what is computed of them is small whatever the picture.

    Args:
        height: of the picture.
        width: of the picture.
        places: how many there are to be in a strip, about; by default what stays in a processor's cache.
    """
    step = max(1, places // max(1, width))
    for start in range(0, height, step):
        yield slice(start, min(start + step, height))


def _divided(array: np.ndarray) -> np.ndarray:
    """The array over its largest absolute value, in float64; an array of zeros as it is."""
    array = np.asarray(array, np.float64)
    peak = np.abs(array).max()
    return array / peak if peak > 0 else array


def colorize(heatmap: np.ndarray, colormap: str = "jet") -> np.ndarray:
    """A heat map in colours.

    Args:
        heatmap: `[..., H, W]` in [0, 1].
        colormap: a key of `COLORMAPS`; `jet` runs from blue (0) to red (1).

    Returns:
        uint8 `[..., H, W, 3]`, RGB.

    Raises:
        KeyError: no such colormap.
        ValueError: an empty array, or one that is not finite somewhere.
    """
    if colormap not in COLORMAPS:
        raise UnknownName(f"no colormap {colormap!r}; the colormaps are {', '.join(COLORMAPS)}")
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
    """The colours of 256 levels, `[256, 1, 3]`, RGB; None is the levels themselves."""
    code = COLORMAPS[colormap]
    if code is None:
        return None
    levels = np.arange(256, dtype=np.uint8).reshape(256, 1)
    return np.ascontiguousarray(cv2.applyColorMap(levels, code)[..., ::-1])  # OpenCV's is BGR


def overlay(
    images: np.ndarray, heatmap: np.ndarray | Enlarged, colormap: str = "jet", opacity: float = 0.5
) -> np.ndarray:
    """Heat maps in colours over their pictures.

    Args:
        images: `[..., H, W, 3]`, RGB in [0, 255].
        heatmap: `[..., H, W]` in [0, 1]; or of one picture its cam, `Enlarged` to its size.
        colormap: a key of `COLORMAPS`.
        opacity: of the heat map: 0 leaves the picture alone, 1 covers it.

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
        heat = heatmap[index] if index else heatmap
        for rows in strips(*images.shape[-3:-1]):
            colours = opacity * colorize(heat[rows], colormap)
            result[index][rows] = np.rint(np.clip((1 - opacity) * np.float32(images[index][rows]) + colours, 0, 255))
    return result


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
    if not 0 <= smooth <= 1:
        raise BadValue(f"saliency is blurred by a share of the height, from 0 to 1, not {smooth}")
    largest = np.abs(np.asarray(saliency, np.float32)).max(axis=-1)
    sigma = smooth * largest.shape[1]
    return np.stack([cv2.GaussianBlur(one, (0, 0), sigma) for one in largest]) if sigma else largest
