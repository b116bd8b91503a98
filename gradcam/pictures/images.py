"""Files -> RGB pictures, and what a network may be fed."""

from __future__ import annotations

import os
import pathlib
import warnings

import numpy as np
import PIL
from PIL import Image, ImageOps

from slim_models.mistakes import BadValue, MissingFile

SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff")
_FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "TIFF")  # of all that Pillow opens, some with other programs' help


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
        raise MissingFile(f"no picture at {path}")
    if path.stat().st_size == 0:
        raise BadValue(f"{path} is empty")
    try:
        return np.asarray(_rgb(*_decoded(path)))
    except PIL.UnidentifiedImageError as error:
        raise BadValue(f"{path} is not a picture that can be read (of {', '.join(_FORMATS)})") from error
    except Image.DecompressionBombError as error:
        raise BadValue(f"{path} is too large: {error}") from error
    except _UnknownRangeError as error:
        raise BadValue(f"{path}: {error}") from error
    except Exception as error:  # decoders raise nearly anything; whatever it is, the file is to blame
        raise BadValue(f"{path} is damaged or truncated: {error}") from error


class _UnknownRangeError(ValueError):
    """Grey values of which nothing says what is white."""


def _decoded(path: pathlib.Path) -> tuple[Image.Image, bool]:
    """The picture, turned upright, and whether its grey values have 16 bits."""
    with warnings.catch_warnings(), Image.open(path, formats=_FORMATS) as image:
        warnings.simplefilter("ignore")  # of Pillow, about unusual metadata
        image.load()
        # Older Pillows open a 16-bit PNG in the mode of 32-bit integers.
        sixteen = image.mode.startswith("I;16") or (image.mode == "I" and image.format == "PNG")
        # Pillow turns a TIFF by itself, and some of its versions leave the tag as it was.
        return (image.copy() if image.format == "TIFF" else ImageOps.exif_transpose(image)), sixteen


def _rgb(image: Image.Image, sixteen: bool) -> Image.Image:
    """Any mode of Pillow -> RGB."""
    transparent = image.info.get("transparency")
    if sixteen:  # convert() would clip at 255
        grey: np.ndarray = np.array(image, np.float64)
        if isinstance(transparent, int):
            grey[grey == transparent] = 65535
        return Image.fromarray(np.rint(grey / 257).astype(np.uint8)).convert("RGB")
    if image.mode.startswith(("I", "F")):
        raise _UnknownRangeError(f"its grey values are 32-bit (mode {image.mode}), and nothing says what is white")
    if transparent is not None or {"A", "a"} & set(image.getbands()):
        image = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB")
    return image.convert("RGB")


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
        raise BadValue(f"images must be numbers, not {array.dtype}")
    if array.ndim != 4 or array.shape[1:] != (height, width, 3):
        raise BadValue(f"images must be [N, {height}, {width}, 3], not {list(array.shape)}")
    if not len(array):
        raise BadValue("there are no images: N is 0")
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        raise BadValue("images must be finite; there is a NaN or an infinity in them")
    low, high = float(array.min()), float(array.max())
    if low < 0 or high > 255 or (array.dtype.kind == "f" and 0 < high <= 1):
        raise BadValue(f"images must be RGB in [0, 255], not preprocessed; these are in [{low:g}, {high:g}]")
    return array.astype(np.float32)
