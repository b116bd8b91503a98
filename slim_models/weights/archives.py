"""Zip archives of weights, read to the end of every member: only there its CRC is checked."""

from __future__ import annotations

import collections
import math
import os
import pathlib
import zipfile
from typing import IO

import numpy as np

from slim_models.memory import read_numbers
from slim_models.mistakes import BadValue
from slim_models.weights.npy import read_header

# What is packed in a file may claim to be so many times as large: trained weights hardly shrink, bombs a thousandfold.
MOST_PACKED = 100
HARMLESS = 2**26  # bytes, that any machine has: a small file of zeros is no bomb


def check_claim(claimed: int, size: int, what: str = "what it holds") -> None:
    """Whether the size that something claims to unpack to can be that of weights, or of pictures, in a file.

    Args:
        claimed: bytes of all that would be unpacked.
        size: of the file, bytes.
        what: named in the error.

    Raises:
        ValueError: it is more than `MOST_PACKED` times the file's size.
    """
    if claimed > max(HARMLESS, MOST_PACKED * size):
        raise BadValue(
            f"{what} claims {claimed:,} bytes, from a file of {size:,}: more than {MOST_PACKED} times as many, which "
            "are not unpacked"
        )


def read_npz(path: pathlib.Path) -> dict[str, np.ndarray]:
    """Arrays by name; `np.load` would leave what is behind an array in its member unread, and so the CRC unchecked.

    Raises:
        ValueError: it claims too much, or a member is not one array of numbers and nothing else. `zipfile` and NumPy
            raise nearly anything for a damaged one.
    """
    arrays: dict[str, np.ndarray] = {}
    with path.open("rb") as file, zipfile.ZipFile(file) as archive:
        check_members(archive, os.fstat(file.fileno()).st_size)
        for info in archive.infolist():
            with archive.open(info) as member:
                arrays[info.filename.removesuffix(".npy")] = _array(member, info.file_size)
                if member.read(1):
                    raise BadValue(f"{info.filename} in it holds more than the array that its header tells of")
    return arrays


def _array(member: IO[bytes], size: int) -> np.ndarray:
    """As `np.lib.format.read_array`, in memory that a variable can take over: read-only."""
    shape, fortran, dtype = read_header(member)
    if dtype.hasobject:
        raise BadValue("it holds an array of objects")
    if math.prod(shape) * dtype.itemsize > size:
        raise EOFError("it ends in the middle of an array: truncated")
    return read_numbers(member, dtype, math.prod(shape)).reshape(shape, order="F" if fortran else "C")


def check_members(archive: zipfile.ZipFile, size: int) -> None:
    """Whether the members of an archive can be weights, or a data set.

    Args:
        archive: of nothing but these and what belongs to them.
        size: of its file, bytes.

    Raises:
        ValueError: two have one name, or they claim too much.
    """
    twice = sorted(name for name, count in collections.Counter(archive.namelist()).items() if count > 1)
    if twice:
        raise BadValue(f"{twice[0]} is in it twice")
    check_claim(sum(info.file_size for info in archive.infolist()), size)


def check_sums(archive: zipfile.ZipFile, size: int) -> None:
    """Whether every member is as its CRC says; for archives that somebody else will read, in places.

    Raises:
        ValueError: one is not, or as of `check_members`.
    """
    check_members(archive, size)
    damaged = archive.testzip()
    if damaged is not None:
        raise BadValue(f"{damaged} in it is damaged: its CRC-32 is another than the archive says")
