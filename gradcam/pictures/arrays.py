"""Files -> arrays of any number of channels: npy files, and TIFFs whose pages are bands."""

from __future__ import annotations

import pathlib
import re
from typing import Any

import numpy as np
from PIL import Image

from gradcam.maps import check_pixels
from gradcam.pictures.images import UnknownNumbersError, check_packing, finite, opening, unwarned
from slim_models.files import kind
from slim_models.mistakes import BadValue, MissingFile

ARRAY_SUFFIXES = (".npy", ".tif", ".tiff")
_ONE_OF_SEVERAL = re.compile(r"(.+\.npy)\[(\d+)\]", re.IGNORECASE)  # stack.npy[2]
_WITHOUT = 0b101  # bits of a page's NewSubfileType: a smaller version of another page, or a mask
# What Pillow has no mode for, by the type that it gives and the page's SampleFormat: its bits are read as they are.
_WITHOUT_MODE = {("int32", 1): np.uint32, ("uint8", 2): np.int8}


def is_npy(source: str) -> bool:
    """Whether a source is an npy file, or one of the pictures in it."""
    return pathlib.Path(parts(source)[0]).suffix.lower() == ".npy"


def pictures_in(source: str) -> list[str]:
    """The pictures of an npy file `[N, H, W, K]`, `stack.npy[0]` and so on; anything else as it is.

    A file that cannot be read is one source: whoever reads it is told why.
    """
    path, number = parts(source)
    if number is not None or not is_npy(source):
        return [source]
    try:
        array = _mapped(pathlib.Path(path))
    except (BadValue, MissingFile):
        return [source]
    return [f"{path}[{index}]" for index in range(len(array))] if array.ndim == 4 else [source]


def name_of(source: str) -> str:
    """What a source's files are called: `stack-2` of `folder/stack.npy[2]`, `coffee` of `sample:coffee`."""
    if source.startswith("sample:"):
        return source.removeprefix("sample:")
    path, number = parts(source)
    stem = pathlib.Path(path).stem
    return stem if number is None else f"{stem}-{number}"


def parts(source: str) -> tuple[str, int | None]:
    """The file that a source is in, and which of its pictures, of an npy file of several."""
    match = _ONE_OF_SEVERAL.fullmatch(source)
    if match is None or pathlib.Path(source).exists():  # a file may be called so
        return source, None
    return match[1], int(match[2])


def read_array(source: str, channels: int) -> np.ndarray:
    """A picture as a network that takes arrays is fed it, at the picture's own size.

    Args:
        source: an npy file `[H, W, K]`, or `[H, W]` of one channel; one of `pictures_in`; or a TIFF, whose bands are
            those of its pages, one after the other.
        channels: K.

    Returns:
        float32 `[H, W, K]`, finite.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it holds something else.
    """
    path = pathlib.Path(parts(source)[0])
    if path.suffix.lower() not in ARRAY_SUFFIXES:
        raise BadValue(
            f"{source} is a photograph, and the network takes arrays [H, W, {channels}]: give an npy file, or a TIFF "
            "whose pages are the bands"
        )
    array = _of_npy(source) if is_npy(source) else _of_tiff(path)
    if array.ndim != 3 or array.shape[2] != channels:
        first = array.ndim == 3 and array.shape[0] == channels
        hint = "; its channels come first, np.moveaxis(array, 0, -1) has them last" if first else ""
        raise BadValue(f"{source} is {list(array.shape)}, and the network takes pictures [H, W, {channels}]{hint}")
    return finite(array, source)


def read_pixels(source: str) -> np.ndarray:
    """A photograph in an npy file, at its own size.

    Args:
        source: a file `[H, W, 3]`, RGB in [0, 255], or grey `[H, W]`; or one of `pictures_in`.

    Returns:
        `[H, W, 3]`, RGB in [0, 255]; uint8 stays uint8, all else becomes float32.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it holds something else.
    """
    array = _of_npy(source)
    if array.ndim == 3 and array.shape[2] == 1:
        array = np.repeat(array, 3, axis=2)
    if array.ndim != 3 or array.shape[2] != 3:
        raise BadValue(f"{source} is {list(array.shape)}, and the network takes photographs [H, W, 3], RGB in [0, 255]")
    try:
        check_pixels(array)
    except BadValue as error:
        raise BadValue(
            f"{source}: {error} (what the graph takes as it is has to be given as prepared, --prepared)"
        ) from error
    return np.array(array, np.uint8 if array.dtype == np.uint8 else np.float32)


def size_of(source: str) -> tuple[int, int]:
    """The (height, width) of a picture in an npy file; errors as of `read_pixels`."""
    height, width = _of_npy(source).shape[:2]
    return height, width


def _of_npy(source: str) -> np.ndarray:
    """`[H, W, K]` or what else is there, memory-mapped."""
    path, number = parts(source)
    array = _mapped(pathlib.Path(path))
    if array.ndim == 4 and number is not None:
        if number >= len(array):
            raise BadValue(f"{path} has {len(array)} pictures, from 0 on, and no picture {number}")
        array = array[number]
    elif number is not None:
        raise BadValue(f"{path} is {list(array.shape)}, no [N, H, W, K] with a picture {number}")
    elif array.ndim == 4 and len(array) == 1:
        array = array[0]
    return array[..., None] if array.ndim == 2 else array


def _mapped(path: pathlib.Path) -> np.ndarray:
    if not path.is_file():
        raise MissingFile(f"no picture at {path}")
    try:
        return np.lib.format.open_memmap(path, mode="r")  # never a pickle
    except Exception as error:  # of a damaged header nearly anything
        what = kind(path)
        raise BadValue(f"{path} is no array that can be read: it is {what} ({error})") from error


def _of_tiff(path: pathlib.Path) -> np.ndarray:
    """`[H, W, K]`: the bands of all pages, one after the other."""
    with opening(path, ("TIFF",)), unwarned(), path.open("rb") as file, Image.open(file, formats=("TIFF",)) as image:
        pages, stored, claimed = [], path.stat().st_size, 0
        for number in range(getattr(image, "n_frames", 1)):
            image.seek(number)
            if int(_tag(image, 254, 0)) & _WITHOUT:
                continue
            claimed += image.width * image.height * len(image.getbands())  # pages can have their pixels in common
            check_packing(claimed, stored)
            pages.append(_page(image, number + 1))
    sizes = list(dict.fromkeys(f"{page.shape[1]} x {page.shape[0]}" for page in pages))
    if len(sizes) != 1:
        raise BadValue(f"{path} has pages of several sizes ({', '.join(sizes)}), which are not bands of one picture")
    return np.concatenate(pages, axis=2)


def _tag(image: Any, number: int, otherwise: int) -> Any:
    """What the page of a TIFF says under a tag's number; Pillow's types know of tags in some versions only."""
    return image.tag_v2.get(number, otherwise)


def _page(image: Image.Image, number: int) -> np.ndarray:
    """The bands of a page, `[H, W, K]`."""
    if image.mode in ("P", "PA"):
        raise UnknownNumbersError(f"page {number} has a palette, whose numbers measure nothing")
    array = np.array(image)
    sample_format = _tag(image, 339, 1)
    sample_format = sample_format[0] if isinstance(sample_format, tuple) else sample_format
    array = array.view(_WITHOUT_MODE.get((array.dtype.name, sample_format), array.dtype))
    return array[..., None] if array.ndim == 2 else array
