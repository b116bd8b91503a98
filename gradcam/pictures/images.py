"""Files -> RGB pictures, and what a network may be fed."""

from __future__ import annotations

import contextlib
import importlib.util
import io
import os
import pathlib
import re
import threading
import warnings
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple, cast

import numpy as np
import PIL
from PIL import Image, ImageOps, features

from gradcam.maps import check_pixels, strips
from slim_models.mistakes import BadValue, MissingFile, MissingPackage


class _Reader(NamedTuple):
    """What not every installation reads.

    Attributes:
        suffixes: of such files.
        here: whether this one does.
        needed: what would.
    """

    suffixes: tuple[str, ...]
    here: bool
    needed: str


def _can(feature: str) -> bool:
    """Whether the installed Pillow has it; older ones do not know the word."""
    return feature in {**features.modules, **features.codecs} and bool(features.check(feature))


_READERS = {
    "AVIF": _Reader((".avif",), _can("avif"), "pip install -U pillow, which reads it from 11.3 on"),
    "JPEG2000": _Reader((".jp2", ".j2k", ".jpx", ".jpf", ".j2c"), _can("jpg_2000"), "a Pillow built with OpenJPEG"),
    "HEIF": _Reader((".heic", ".heif"), importlib.util.find_spec("pillow_heif") is not None, "pip install pillow-heif"),
}
# What would be needed to read files of these suffixes, of which none is read here.
NEEDED = {suffix: reader.needed for reader in _READERS.values() if not reader.here for suffix in reader.suffixes}
SUFFIXES = (
    *(".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff", ".gif"),
    *(suffix for reader in _READERS.values() if reader.here for suffix in reader.suffixes),
)
# Of all that Pillow opens, some with other programs' help.
_FORMATS = (
    *("JPEG", "PNG", "WEBP", "BMP", "TIFF", "GIF"),
    *(name for name in ("AVIF", "JPEG2000") if _READERS[name].here),
)
# Pixels that a picture may have whatever its file's size, and how many times as many bytes as its file any other. The
# largest cameras' photographs are smaller, and JPEG packs nothing as much.
_HARMLESS, _MOST_PACKED = 2**27, 400
_AT_ONCE = 2**20  # pixels that are converted at once, of all that are decoded
_HEIF = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1")  # brands of the first box


def read_image(path: str | os.PathLike) -> np.ndarray:
    """Reads a picture as a viewer would show it.

    JPEG, PNG, WebP, BMP, TIFF and the first frame of a GIF, of one to four channels, with a palette, 8 or 16 bits,
    CMYK; AVIF and JPEG 2000 where the installed Pillow has them, HEIC where `pillow_heif` is installed; turned as EXIF
    says; transparency over white.

    Args:
        path: of the file.

    Returns:
        uint8 `[H, W, 3]`, RGB.

    Raises:
        FileNotFoundError: there is no such file.
        ImportError: what reads such files is not installed.
        ValueError: the file is empty, truncated, or no picture, or the picture is too large.
    """
    path = pathlib.Path(path)
    with _opened(path) as opened:
        return _pixels(*_decoded(opened))


def size_of(path: str | os.PathLike) -> tuple[int, int]:
    """The (height, width) that a picture's file says it has, of which nothing is decoded; one side may be the other.

    Raises:
        FileNotFoundError, ImportError, ValueError: as `read_image`.
    """
    with _opened(pathlib.Path(path)) as opened:
        width, height = opened.size
        return height, width


@contextlib.contextmanager
def _opened(path: pathlib.Path) -> Iterator[Any]:
    """The picture in a file, of Pillow or `pillow_heif`, not decoded yet, if it is not too large.

    Whatever goes wrong while it is open is the file's fault.
    """
    form = _form(path)
    if form and not _READERS[form].here:
        raise MissingPackage(f"{path} is {form}, which is not read here: {_READERS[form].needed}")
    with opening(path, _FORMATS), unwarned(), contextlib.ExitStack() as stack:
        if form == "HEIF":
            import pillow_heif  # which all of Pillow need not be told of

            opened = pillow_heif.open_heif(path)
        else:
            # Of a path Pillow maps some TIFFs into memory, and takes those that are to be turned for as high as wide.
            file = stack.enter_context(path.open("rb"))
            opened = stack.enter_context(Image.open(file, formats=_FORMATS))
        check_size(opened.size, path.stat().st_size)
        yield opened


def _decoded(opened: Any) -> tuple[Image.Image, bool]:
    """The picture, turned upright, and whether its grey values have 16 bits."""
    if not isinstance(opened, Image.Image):  # libheif turns it
        return opened.to_pillow(), False
    opened.load()
    # Older Pillows open a 16-bit PNG in the mode of 32-bit integers.
    sixteen = opened.mode.startswith("I;16") or (opened.mode == "I" and opened.format == "PNG")
    if opened.format != "TIFF":  # Pillow turns it by itself, and some of its versions leave the tag as it was
        ImageOps.exif_transpose(opened, in_place=True)
    return opened, sixteen


def check_encoded(data: bytes) -> None:
    """Whether a picture in memory can be decoded, by somebody else than Pillow.

    Raises:
        ValueError: it is none, or too large.
    """
    try:
        with unwarned(), Image.open(io.BytesIO(data), formats=_FORMATS) as image:
            check_size(image.size, len(data))
    except Image.DecompressionBombError as error:
        raise BadValue(f"the picture is too large: {error}") from error
    except Exception as error:
        raise BadValue(f"a picture is damaged: {error}") from error


def check_size(size: tuple[int, int], stored: int) -> None:
    """Whether a picture can be what a file of `stored` bytes holds, before memory is set aside for its pixels.

    Raises:
        Image.DecompressionBombError: it has more pixels than Pillow takes, or many more bytes than the file.
    """
    pixels = size[0] * size[1]
    if Image.MAX_IMAGE_PIXELS is not None and pixels > 2 * Image.MAX_IMAGE_PIXELS:  # as Pillow says it, of any format
        raise Image.DecompressionBombError(f"it is {size[0]} x {size[1]} pixels")
    check_packing(pixels, stored)


def check_packing(pixels: int, stored: int) -> None:
    """Whether so many pixels can be those of a file of `stored` bytes; errors as of `check_size`."""
    if pixels > _HARMLESS and 3 * pixels > _MOST_PACKED * stored:
        raise Image.DecompressionBombError(
            f"it claims {pixels:,} pixels, from {stored:,} bytes, which is no photograph: make it smaller first"
        )


def _form(path: pathlib.Path) -> str | None:
    """Which of `_READERS` a file is for, whatever its name: telephones call HEIC .jpg. None for anything else."""
    if not path.is_file():
        return None
    with path.open("rb") as file:
        start = file.read(32)
    if start[4:8] == b"ftyp" and (b"avif" in start or b"avis" in start):
        return "AVIF"
    if start[4:8] == b"ftyp" and start[8:12] in _HEIF:
        return "HEIF"
    return "JPEG2000" if start.startswith((b"\0\0\0\x0cjP  ", b"\xff\x4f\xff\x51")) else None


@contextlib.contextmanager
def opening(path: pathlib.Path, formats: Sequence[str]) -> Iterator[None]:
    """Tells whatever goes wrong while Pillow reads a file as the file's fault.

    Args:
        path: of the file.
        formats: that are tried.

    Raises:
        FileNotFoundError, ValueError: as `read_image`.
    """
    if not path.is_file():
        raise MissingFile(f"no picture at {path}")
    if path.stat().st_size == 0:
        raise BadValue(f"{path} is empty")
    try:
        yield
    except PIL.UnidentifiedImageError as error:
        raise BadValue(f"{path} is not a picture that can be read (of {', '.join(formats)})") from error
    except Image.DecompressionBombError as error:
        raise BadValue(f"{path} is too large: {error}") from error
    except UnknownNumbersError as error:
        raise BadValue(f"{path}: {error}") from error
    except Exception as error:  # decoders raise nearly anything; whatever it is, the file is to blame
        raise BadValue(f"{path} is damaged or truncated: {error}") from error


class UnknownNumbersError(ValueError):
    """Numbers of which nothing says what they are, such as what is white."""


class _Here(threading.local):
    """The texts of warnings that are ignored: every thread has a `match` of its own, which matches none at first."""

    match: Callable[[str], object] = re.compile("(?!)").match


_here = _Here()
_QUIET = ("ignore", _here, Warning, None, 0)  # an entry of `warnings.filters`: action, texts, category, module, line
_readers: list[int] = []  # threads that want it there
_lock = threading.Lock()


@contextlib.contextmanager
def unwarned() -> Iterator[None]:
    """Keeps what Pillow says about unusual metadata from the user, and nothing that other threads are warned of.

    Pictures are read in threads, which `warnings.catch_warnings` is not made for: of two that overlap, the one that
    ends last brings back the filters of the other. Here all readers share one entry, which goes with the last of
    them; and should a `catch_warnings` of others bring it back, it is of no effect where no picture is read.
    """
    with _lock:
        _readers.append(threading.get_ident())
        filters = cast("list[Any]", warnings.filters)
        if filters[:1] != [_QUIET]:  # others' filters may have come before it
            filters.insert(0, _QUIET)
    _here.match = re.compile("").match
    try:
        yield
    finally:
        del _here.match
        with _lock:
            _readers.remove(threading.get_ident())
            filters = cast("list[Any]", warnings.filters)
            while not _readers and _QUIET in filters:
                filters.remove(_QUIET)


def _pixels(image: Image.Image, sixteen: bool) -> np.ndarray:
    """Any mode of Pillow -> uint8 `[H, W, 3]`, RGB; a part at a time, so that little is there beside both."""
    result = np.empty((image.height, image.width, 3), np.uint8)
    for rows in strips(image.height, image.width, _AT_ONCE):
        result[rows] = np.asarray(_rgb(image.crop((0, rows.start, image.width, rows.stop)), sixteen))
    return result


def _rgb(image: Image.Image, sixteen: bool) -> Image.Image:
    """Any mode of Pillow -> RGB."""
    transparent = image.info.get("transparency")
    if sixteen:  # convert() would clip at 255
        grey: np.ndarray = np.array(image, np.float64)
        if isinstance(transparent, int):
            grey[grey == transparent] = 65535
        return Image.fromarray(np.rint(grey / 257).astype(np.uint8)).convert("RGB")
    if image.mode.startswith(("I", "F")):
        raise UnknownNumbersError(f"its grey values are 32-bit (mode {image.mode}), and nothing says what is white")
    if transparent is not None or {"A", "a"} & set(image.getbands()):
        image = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB")
    return image.convert("RGB")


def checked_images(images: np.ndarray, size: tuple[int, int], channels: int | None = None) -> np.ndarray:
    """A batch as a network is fed it.

    Args:
        images: `[N, H, W, 3]`, RGB in [0, 255], of any numeric type; or arrays `[N, H, W, K]`.
        size: (H, W) of the network.
        channels: K of a network that takes arrays; None of one that takes photographs.

    Returns:
        float32 `[N, H, W, 3]` or `[N, H, W, K]`.

    Raises:
        ValueError: another shape, or values that are not finite; of photographs also values that are not in
            [0, 255], or that look like [0, 1].
    """
    array = np.asarray(images)
    if channels is not None:
        return _checked_arrays(array, (*size, channels))
    check_pixels(array)
    height, width = size
    if array.ndim != 4 or array.shape[1:] != (height, width, 3):
        raise BadValue(f"images must be [N, {height}, {width}, 3], not {list(array.shape)}")
    if not len(array):
        raise BadValue("there are no images: N is 0")
    return array.astype(np.float32)


def _checked_arrays(array: np.ndarray, shape: tuple[int, int, int]) -> np.ndarray:
    """Pictures `[N, H, W, K]` of any range as float32."""
    if array.ndim != 4 or array.shape[1:] != shape:
        raise BadValue(
            f"images must be arrays [N, {', '.join(map(str, shape))}] of any finite numbers, which is what the network "
            f"takes in place of photographs, not {list(array.shape)}"
        )
    if not len(array):
        raise BadValue("there are no images: N is 0")
    return finite(array, "images")


def finite(array: np.ndarray, name: str) -> np.ndarray:
    """Numbers as a network is fed them, float32.

    Raises:
        ValueError: they are no numbers, none, or not finite; it begins with the name.
    """
    array = np.asarray(array)
    if array.dtype.kind not in "fiu" or not array.size:
        raise BadValue(f"{name}: numbers should be there, not {array.dtype} {list(array.shape)}")
    with np.errstate(over="ignore"):  # what float32 does not hold is infinite, which is told
        array = np.array(array, np.float32)
    if not np.isfinite(array).all():
        raise BadValue(f"{name}: not finite; there is a NaN, an infinity, or a number beyond float32")
    return array
