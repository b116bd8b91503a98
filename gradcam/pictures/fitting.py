"""Pictures to a network's size, and maps back to a photograph's own size and place."""

from __future__ import annotations

import cv2
import numpy as np

FITS = ("stretch", "crop")


def region(size: tuple[int, int], fit: str) -> tuple[slice, slice]:
    """The part of a picture that a network of square input sees.

    Args:
        size: (height, width) of the picture in pixels.
        fit: `"stretch"`, the whole picture squeezed into a square (the paper's authors), or `"crop"`,
            the largest central square, in the proportions that networks are trained on.

    Returns:
        Rows and columns.

    Raises:
        ValueError: no such fit.
    """
    if fit not in FITS:
        raise ValueError(f"no fit {fit!r}; the fits are {', '.join(FITS)}")
    extents = size if fit == "stretch" else (min(size), min(size))
    starts = [(whole - extent) // 2 for whole, extent in zip(size, extents)]
    rows, columns = (slice(start, start + extent) for start, extent in zip(starts, extents))
    return rows, columns


def fit_image(image: np.ndarray, size: tuple[int, int], fit: str = "stretch") -> np.ndarray:
    """The picture at a network's size.

    Args:
        image: `[H, W, 3]`, uint8 or floating point.
        size: (height, width) in pixels.
        fit: `"stretch"` or `"crop"`, as in `region`.

    Returns:
        `[height, width, 3]`, resized as by `resize`.
    """
    height, width = image.shape[:2]
    return resize(image[region((height, width), fit)], size)


def resize(array: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Resizes each axis on its own: averaging where it shrinks, bilinear where it grows.

    Args:
        array: `[H, W]` or `[H, W, 3]`, uint8 or floating point.
        size: (height, width) in pixels.

    Returns:
        `[height, width]` or `[height, width, 3]`; uint8 stays uint8, all else becomes float32.
    """
    array = np.asarray(array)
    array = np.ascontiguousarray(array if array.dtype == np.uint8 else array.astype(np.float32))
    # OpenCV averages only where no axis grows, so the shrinking is done first. Its sizes are (width, height).
    smaller = (min(array.shape[1], size[1]), min(array.shape[0], size[0]))
    if smaller != array.shape[1::-1]:
        array = cv2.resize(array, smaller, interpolation=cv2.INTER_AREA)
    if array.shape[:2] != tuple(size):
        array = cv2.resize(array, size[::-1], interpolation=cv2.INTER_LINEAR)
    return array


def place(part: np.ndarray, size: tuple[int, int], fit: str = "stretch") -> np.ndarray:
    """Brings what belongs to a network's input to the part of the photograph that it was made of.

    Args:
        part: `[h, w]` or `[h, w, 3]` of any size, a map of the network's whole input.
        size: (height, width) of the photograph in pixels.
        fit: as it was in `fit_image`.

    Returns:
        float32 `[height, width]` or `[height, width, 3]`, zero where the network did not look.
    """
    rows, columns = region(size, fit)
    whole = np.zeros((*size, *part.shape[2:]), np.float32)
    whole[rows, columns] = resize(part, (rows.stop - rows.start, columns.stop - columns.start))
    return whole
