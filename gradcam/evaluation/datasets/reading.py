"""Reading the pictures of data sets: from files that are here, or from the bytes of files that are elsewhere."""

from __future__ import annotations

import dataclasses
import functools
import pathlib
import tempfile
from collections.abc import Callable

import cv2
import numpy as np

from gradcam.pictures import images
from slim_models.mistakes import BadValue, Mistake


@dataclasses.dataclass(frozen=True, slots=True)
class InFile:
    """Reads a picture from a file; small, as there may be a million of them.

    Attributes:
        path: of the file.
        decode: path -> uint8 `[H, W, 3]`, RGB.
    """

    path: str
    decode: Callable[[pathlib.Path], np.ndarray] = images.read_image

    def __call__(self) -> np.ndarray:
        """The picture; errors as of `decode`."""
        return self.decode(pathlib.Path(self.path))

    def carried(self) -> Carried:
        """The same for a machine that has not this file."""
        return Carried(self.path, pathlib.Path(self.path).read_bytes(), self.decode)


@dataclasses.dataclass(frozen=True, slots=True)
class Carried:
    """Reads a picture from the bytes of a file that is elsewhere; attributes as of `InFile`, and the bytes."""

    path: str
    data: bytes
    decode: Callable[[pathlib.Path], np.ndarray]

    def __call__(self) -> np.ndarray:
        """The picture; errors as of `decode`, with the path that it has where it comes from."""
        with tempfile.TemporaryDirectory() as folder:
            place = pathlib.Path(folder, pathlib.PurePath(self.path).name)
            place.write_bytes(self.data)
            try:
                return self.decode(place)
            except Mistake as error:
                raise type(error)(str(error).replace(str(place), self.path)) from error


def in_file(path: str, size: tuple[int, int] | None) -> InFile:
    """Reads a picture whose boxes are of a (width, height), if that is known; another size is a ValueError."""
    return InFile(path, functools.partial(_sized, size=size) if size else images.read_image)


def _sized(path: pathlib.Path, size: tuple[int, int]) -> np.ndarray:
    pixels = images.read_image(path)
    if pixels.shape[1::-1] != size:
        pixels = decode(path.read_bytes())  # boxes may be drawn on the picture as stored, before EXIF turns it
    if pixels.shape[1::-1] != size:
        shape = f"{pixels.shape[1]} x {pixels.shape[0]}"
        raise BadValue(f"{path} has {shape} pixels, but its boxes are for {size[0]} x {size[1]}")
    return pixels


def decode(data: bytes) -> np.ndarray:
    """JPEG bytes -> uint8 `[H, W, 3]`, RGB, as stored: EXIF turns nothing (a few of the pictures are greyscale).

    Raises:
        ValueError: they are damaged, or the picture is too large.
    """
    images.check_encoded(data)  # OpenCV's own limit is 1,074 million pixels
    try:
        pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION)
    except cv2.error:  # of an empty file, or of one that claims too many pixels
        pixels = None
    if pixels is None:
        raise BadValue("a picture of the data set is damaged")
    return np.ascontiguousarray(pixels[..., ::-1])
