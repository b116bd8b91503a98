"""Tiny ImageNet: 200 classes, pictures of 64 x 64 pixels, a box each; as its authors distribute it."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import os
import pathlib
import threading
import zipfile
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from gradcam.evaluation.datasets.example import Example, half_open
from gradcam.evaluation.datasets.reading import Carried, decode
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
        result.append(Example(name, wnid, (box,), _Member(path, read, f"val/images/{name}")))
    return result


@dataclasses.dataclass(frozen=True, slots=True)
class _Member:
    """Reads a picture of the data set."""

    path: str | os.PathLike
    read: Callable[[str], bytes]
    name: str

    def __call__(self) -> np.ndarray:
        data = self.read(self.name)
        try:
            return decode(data)
        except BadValue as error:
            raise BadValue(f"{self.path}: {self.name}: {error}") from error

    def carried(self) -> Carried:
        """The same for a machine that has not the data set."""
        return Carried(f"{self.path}: {self.name}", self.read(self.name), _decoded)


def _decoded(path: pathlib.Path) -> np.ndarray:
    try:
        return decode(path.read_bytes())
    except BadValue as error:
        raise BadValue(f"{path}: {error}") from error


def reader(path: str | os.PathLike) -> Callable[[str], bytes]:
    """Opens Tiny ImageNet.

    Args:
        path: the unpacked folder `tiny-imagenet-200` or the official zip.

    Returns:
        A function from a name inside the data set (`"wnids.txt"`) to the file's bytes; several threads may
        call it at once, and other processes that it is sent to.

    Raises:
        FileNotFoundError: there is nothing at `path`, or it does not hold Tiny ImageNet.
    """
    path = pathlib.Path(path)
    missing = f"no Tiny ImageNet at {path}: give the folder tiny-imagenet-200 or the zip from {TINY_IMAGENET_URL}"
    if path.is_dir() and (path / "wnids.txt").is_file():
        return functools.partial(_in_folder, path)
    if path.is_file() and zipfile.is_zipfile(path):
        read = _Zipped(path)
        if read.is_whole:
            return read
    raise MissingFile(missing)


def _in_folder(path: pathlib.Path, name: str) -> bytes:
    return (path / name).read_bytes()


class _Zipped:
    """Reads members of the official zip, which is opened once a process."""

    def __init__(self, path: pathlib.Path):
        self._path, self._lock = path, threading.Lock()
        with _told(path):
            self._archive = zipfile.ZipFile(path)
        _check_archive(path, self._archive)

    @property
    def is_whole(self) -> bool:
        """Whether it is Tiny ImageNet's."""
        return "tiny-imagenet-200/wnids.txt" in self._archive.namelist()

    def __call__(self, name: str) -> bytes:
        with self._lock, _told(self._path, name):  # ZipFile counts its open members; nothing promises that this is safe
            return self._archive.read(f"tiny-imagenet-200/{name}")

    def __reduce__(self) -> tuple[Any, ...]:
        return _zipped, (self._path.absolute(),)


@functools.lru_cache(maxsize=2)
def _zipped(path: pathlib.Path) -> _Zipped:
    return _Zipped(path)


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
