"""Labelled pictures on disk, read as the data set's authors distribute them."""

from __future__ import annotations

import concurrent.futures
import dataclasses
import os
import pathlib
import threading
import zipfile
from collections.abc import Callable

import cv2
import numpy as np

TINY_IMAGENET_URL = "http://cs231n.stanford.edu/tiny-imagenet-200.zip"


@dataclasses.dataclass(frozen=True, eq=False)
class LabelledImages:
    """A split of a data set in memory.

    Attributes:
        images: uint8 `[M, H, W, 3]`, RGB.
        labels: int64 `[M]`, indices into `wnids`.
        wnids: WordNet id of every class, in the order of the labels.
    """

    images: np.ndarray
    labels: np.ndarray
    wnids: tuple[str, ...]


def tiny_imagenet(path: str | os.PathLike, split: str) -> LabelledImages:
    """Reads Tiny ImageNet (200 classes, 64 x 64 pixels) into memory.

    Args:
        path: the unpacked folder `tiny-imagenet-200` or the official zip.
        split: `"train"` (100,000 pictures, 1.2 GB) or `"val"` (10,000).

    Returns:
        The pictures of the split, labels in the order of the sorted WordNet ids.

    Raises:
        FileNotFoundError: there is nothing at `path`, or it does not hold Tiny ImageNet.
        ValueError: the split is unknown.
    """
    if split not in ("train", "val"):
        raise ValueError(f"no split {split!r}; the splits are train, val")
    read = reader(path)
    wnids = tuple(sorted(read("wnids.txt").decode().split()))
    if split == "train":
        names = [f"train/{wnid}/images/{wnid}_{i}.JPEG" for wnid in wnids for i in range(500)]
        labels = np.repeat(np.arange(len(wnids)), 500)
    else:
        rows = validation_rows(read)
        names = [f"val/images/{row[0]}" for row in rows]
        labels = np.array([wnids.index(row[1]) for row in rows])
    with concurrent.futures.ThreadPoolExecutor() as pool:
        images = np.stack(list(pool.map(lambda name: decode(read(name)), names)))
    return LabelledImages(images, labels.astype(np.int64), wnids)


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
        archive, lock = zipfile.ZipFile(path), threading.Lock()
        if "tiny-imagenet-200/wnids.txt" in archive.namelist():

            def read(name: str) -> bytes:
                with lock:  # ZipFile counts its open members, and nothing promises that the count is safe
                    return archive.read(f"tiny-imagenet-200/{name}")

            return read
    raise FileNotFoundError(missing)


def validation_rows(read: Callable[[str], bytes]) -> list[list[str]]:
    """The lines of Tiny ImageNet's validation list: name, WordNet id, x and y of the first and the last pixel."""
    return [line.split("\t") for line in read("val/val_annotations.txt").decode().splitlines()]


def decode(data: bytes) -> np.ndarray:
    """JPEG bytes -> uint8 `[H, W, 3]`, RGB, as stored: EXIF turns nothing (a few of the pictures are greyscale)."""
    pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION)
    if pixels is None:
        raise ValueError("a picture of the data set is damaged")
    return np.ascontiguousarray(pixels[..., ::-1])
