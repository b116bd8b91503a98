"""Tiny ImageNet: 200 classes, pictures of 64 x 64 pixels, a box each; as its authors distribute it."""

from __future__ import annotations

import contextlib
import os
import pathlib
import threading
import zipfile
from collections.abc import Callable, Iterator

import cv2
import numpy as np

from gradcam.evaluation.datasets.example import Example, half_open
from gradcam.pictures import images
from slim_models.mistakes import BadValue, MissingFile
from slim_models.weights import check_members

_MOST_BYTES = 2**24  # of a member
TINY_IMAGENET_URL = "http://cs231n.stanford.edu/tiny-imagenet-200.zip"


def tiny_imagenet_examples(path: str | os.PathLike) -> list[Example]:
    """Finds the validation pictures of Tiny ImageNet: 10,000 of 64 x 64 pixels, a box each.

    Args:
        path: the unpacked folder `tiny-imagenet-200` or the official zip, which stays open.

    Returns:
        The pictures in the order of val_annotations.txt; classes are WordNet ids.

    Raises:
        FileNotFoundError: there is nothing at `path`, or it does not hold Tiny ImageNet.
        ValueError: a line of val_annotations.txt is damaged.
    """
    read = reader(path)
    result = []
    try:
        rows = validation_rows(read)
    except UnicodeDecodeError as error:
        raise BadValue(f"{path}: val_annotations.txt is no text in UTF-8: {error}") from error
    for number, row in enumerate(rows, 1):
        try:
            name, wnid, x0, y0, x1, y1 = row
            box = half_open((int(x0), int(y0)), (int(x1), int(y1)))
        except ValueError as error:
            raise BadValue(f"{path}: val_annotations.txt:{number}: {error} in {row}") from error
        result.append(Example(name, wnid, (box,), _member(path, read, f"val/images/{name}")))
    return result


def _member(path: str | os.PathLike, read: Callable[[str], bytes], name: str) -> Callable[[], np.ndarray]:
    def picture() -> np.ndarray:
        data = read(name)
        try:
            return decode(data)
        except BadValue as error:
            raise BadValue(f"{path}: {name}: {error}") from error

    return picture


def reader(path: str | os.PathLike) -> Callable[[str], bytes]:
    """Opens Tiny ImageNet.

    Args:
        path: the unpacked folder `tiny-imagenet-200` or the official zip.

    Returns:
        A function from a name inside the data set (`"wnids.txt"`) to the file's bytes; several threads may
        call it at once.

    Raises:
        FileNotFoundError: there is nothing at `path`, or it does not hold Tiny ImageNet.
    """
    path = pathlib.Path(path)
    missing = f"no Tiny ImageNet at {path}: give the folder tiny-imagenet-200 or the zip from {TINY_IMAGENET_URL}"
    if path.is_dir() and (path / "wnids.txt").is_file():
        return lambda name: (path / name).read_bytes()
    if path.is_file() and zipfile.is_zipfile(path):
        with _told(path):
            archive, lock = zipfile.ZipFile(path), threading.Lock()
        _check_archive(path, archive)
        if "tiny-imagenet-200/wnids.txt" in archive.namelist():

            def read(name: str) -> bytes:
                with lock, _told(path, name):  # ZipFile counts its open members; nothing promises that this is safe
                    return archive.read(f"tiny-imagenet-200/{name}")

            return read
    raise MissingFile(missing)


@contextlib.contextmanager
def _told(path: pathlib.Path, name: str = "") -> Iterator[None]:
    """Whatever `zipfile` raises of a damaged archive, which is nearly anything, as the archive's fault."""
    try:
        yield
    except KeyError as error:
        raise MissingFile(f"{path} has no {name}") from error
    except Exception as error:
        where = f"{path}: {name}" if name else f"{path}, the archive,"
        raise BadValue(f"{where} is damaged: {error or type(error).__name__}") from error


def _check_archive(path: pathlib.Path, archive: zipfile.ZipFile) -> None:
    """Whether the members can be Tiny ImageNet's: of each as many bytes as it tells of are read at once.

    Raises:
        ValueError: one claims too much, or all together, or two have one name.
    """
    large = [info for info in archive.infolist() if info.file_size > _MOST_BYTES]
    if large:
        what = f"{large[0].filename} in it claims {large[0].file_size:,} bytes"
        raise BadValue(f"{path} is not Tiny ImageNet: {what}, and its largest list has a fifth of {_MOST_BYTES:,}")
    try:
        check_members(archive, path.stat().st_size)
    except BadValue as error:
        raise BadValue(f"{path} is not Tiny ImageNet: {error}") from error


def validation_rows(read: Callable[[str], bytes]) -> list[list[str]]:
    """The lines of Tiny ImageNet's validation list: name, WordNet id, x and y of the first and the last pixel."""
    return [line.split("\t") for line in read("val/val_annotations.txt").decode().splitlines()]


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
