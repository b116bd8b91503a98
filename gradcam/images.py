"""Files -> RGB pictures of a network's size, and maps back to a photograph's own size and place."""

from __future__ import annotations

import os
import pathlib
import warnings

import cv2
import numpy as np
import PIL
from PIL import Image, ImageOps

SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff")
FITS = ("stretch", "crop")


def read_image(path: str | os.PathLike) -> np.ndarray:
    """Reads a picture as a viewer would show it.

    JPEG, PNG, WebP, BMP and TIFF, of one to four channels, with a palette, 8 or 16 bits, CMYK;
    turned as EXIF says; transparency over white.

    Args:
        path: of the file.

    Returns:
        uint8 `[H, W, 3]`, RGB.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the file is empty, truncated, or no picture.
    """
    path = pathlib.Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"no picture at {path}")
    if path.stat().st_size == 0:
        raise ValueError(f"{path} is empty")
    try:
        with warnings.catch_warnings(), Image.open(path) as image:
            warnings.simplefilter("ignore")  # of Pillow, about unusual metadata
            image.load()
            return np.asarray(_rgb(ImageOps.exif_transpose(image)))
    except PIL.UnidentifiedImageError as error:
        raise ValueError(f"{path} is not a picture that can be read") from error
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise ValueError(f"{path} is damaged or truncated: {error}") from error


def _rgb(image: Image.Image) -> Image.Image:
    """Any mode of Pillow -> RGB."""
    if image.mode.startswith(("I", "F")):  # 16 or more bits of grey, which convert() would clip at 255
        grey: np.ndarray = np.array(image, np.float64)
        if image.mode == "F" or grey.min() < 0 or grey.max() > 65535:
            raise ValueError(f"pixels of mode {image.mode} have no known range")
        return Image.fromarray(np.rint(grey / 257).astype(np.uint8)).convert("RGB")
    if "A" in image.getbands() or "a" in image.getbands() or "transparency" in image.info:
        image = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB")
    return image.convert("RGB")


def region(size: tuple[int, int], fit: str) -> tuple[slice, slice]:
    """The part of a picture that a network of square input sees.

    Args:
        size: (height, width) of the picture in pixels.
        fit: `"stretch"`, the whole picture, its proportions lost (the paper's authors), or `"crop"`,
            the largest central square.

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
    """The picture at a network's size: bilinear where it grows, by area where it shrinks.

    Args:
        image: `[H, W, 3]`.
        size: (height, width) in pixels.
        fit: `"stretch"` or `"crop"`, as in `region`.

    Returns:
        `[height, width, 3]` of the same type.
    """
    part = image[region(image.shape[:2], fit)]
    shrinks = part.shape[0] > size[0] or part.shape[1] > size[1]
    return cv2.resize(part, size[::-1], interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)


def place(part: np.ndarray, size: tuple[int, int], fit: str = "stretch") -> np.ndarray:
    """Enlarges what belongs to a network's input to the part of the photograph that it was made of.

    Args:
        part: `[h, w]` or `[h, w, 3]` of any size, a map of the network's whole input.
        size: (height, width) of the photograph in pixels.
        fit: as it was in `fit_image`.

    Returns:
        `[height, width]` or `[height, width, 3]`, bilinear, zero where the network did not look.
    """
    rows, columns = region(size, fit)
    whole = np.zeros((*size, *part.shape[2:]), part.dtype)
    extent = (columns.stop - columns.start, rows.stop - rows.start)
    whole[rows, columns] = cv2.resize(part, extent, interpolation=cv2.INTER_LINEAR)
    return whole


def checked_images(images: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """A batch as a network is fed it.

    Args:
        images: `[N, H, W, 3]`, RGB in [0, 255], of any numeric type.
        size: (H, W) of the network.

    Returns:
        float32 `[N, H, W, 3]`.

    Raises:
        ValueError: another shape, values that are not finite or not in [0, 255], or values that look
            like [0, 1].
    """
    array = np.asarray(images)
    height, width = size
    if array.dtype.kind not in "fiu":
        raise ValueError(f"images must be numbers, not {array.dtype}")
    if array.ndim != 4 or array.shape[1:] != (height, width, 3):
        raise ValueError(f"images must be [N, {height}, {width}, 3], not {list(array.shape)}")
    if not len(array):
        raise ValueError("there are no images: N is 0")
    if not np.isfinite(array).all():
        raise ValueError("images must be finite; there is a NaN or an infinity in them")
    low, high = float(array.min()), float(array.max())
    if low < 0 or high > 255 or (array.dtype.kind == "f" and 0 < high <= 1):
        raise ValueError(f"images must be RGB in [0, 255], not preprocessed; these are in [{low:g}, {high:g}]")
    return array.astype(np.float32)
