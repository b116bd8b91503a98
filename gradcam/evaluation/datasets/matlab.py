"""MATLAB's files of version 5, as far as an array of records of numbers and texts takes it.

Own, because SciPy's reader ends the process on a few changed bytes. The format: MathWorks, "MAT-File Format" (2023),
chapter "Level 5 MAT-File Format".
"""

from __future__ import annotations

import pathlib
import struct
import zlib
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from slim_models.mistakes import BadValue

_MATRIX, _COMPRESSED, _HEADER = 14, 15, 128
_TYPES = {
    1: "i1",
    2: "u1",
    3: "i2",
    4: "u2",
    5: "i4",
    6: "u4",
    7: "f4",
    9: "f8",
    12: "i8",
    13: "u8",
    16: "u1",
    17: "u2",
}
_STRUCT, _TEXT, _NUMBERS = 2, 4, range(6, 16)  # classes of arrays
_MOST = 2**26  # bytes of a file, and of what is unpacked from it: ILSVRC's has less than a hundredth


class _Part(NamedTuple):
    """A piece of a file: its type, and its bytes."""

    kind: int
    content: bytes


def read_records(path: pathlib.Path, name: str, wanted: tuple[str, ...]) -> list[dict[str, Any]]:
    """Reads an array of records, MATLAB's `struct`.

    Args:
        path: of the file, `-v6` or `-v7`.
        name: of the variable.
        wanted: the fields that are read, each one number or text; no other field is looked at.

    Returns:
        Of every record the fields.

    Raises:
        ValueError: the file is none, has no such variable, or is damaged.
    """
    content = path.read_bytes()[: _MOST + 1]
    if len(content) > _MOST:
        raise BadValue(f"it is larger than {_MOST:,} bytes")
    order = {b"IM": "<", b"MI": ">"}.get(content[126:128])
    if order is None:
        raise BadValue("it is no MAT file of version 5")
    try:
        return _records(content[_HEADER:], order, name, wanted)
    except (struct.error, IndexError, UnicodeDecodeError, zlib.error, StopIteration) as error:
        raise BadValue(f"it is damaged: {error or 'it ends early'}") from error


def _records(content: bytes, order: str, name: str, wanted: tuple[str, ...]) -> list[dict[str, Any]]:
    left = _MOST
    for part in _parts(content, order):
        if part.kind == _COMPRESSED:
            unpacking = zlib.decompressobj()
            content = unpacking.decompress(part.content, left)
            if not unpacking.eof:  # its sum is checked at the end
                raise BadValue("it is damaged, or unpacks to more than can be of use")
            left -= len(content)
            part = next(_parts(content, order))
        if part.kind != _MATRIX:
            continue
        kind, _, found, parts = _matrix(part.content, order)
        if found == name and kind == _STRUCT:
            return list(_rows(parts, order, wanted))
    raise BadValue(f"it has no array of records {name!r}")


def _parts(content: bytes, order: str) -> Iterator[_Part]:
    """The pieces one after another; small ones have type, size and up to four bytes in eight."""
    place = 0
    while place < len(content):
        kind, size = struct.unpack_from(f"{order}II", content, place)
        start = place + 8
        if kind >> 16:
            kind, size, start = kind & 0xFFFF, kind >> 16, place + 4
            if size > 4:
                raise BadValue("it is damaged: a small piece is too large")
        if start + size > len(content):
            raise BadValue("it ends in the middle of a piece")
        yield _Part(kind, content[start : start + size])
        place = place + 8 if start == place + 4 else start + size + (-size % 8 if kind != _COMPRESSED else 0)


def _matrix(content: bytes, order: str) -> tuple[int, tuple[int, ...], str, Iterator[_Part]]:
    """An array's class, shape and name, and the pieces that follow."""
    parts = _parts(content, order)
    flags, shape, name = next(parts), next(parts), next(parts)
    (kind,) = struct.unpack_from(f"{order}I", flags.content)
    return kind & 0xFF, tuple(_numbers(shape, order).tolist()), name.content.decode("ascii"), parts


def _rows(parts: Iterator[_Part], order: str, wanted: tuple[str, ...]) -> Iterator[dict[str, Any]]:
    """The records: after the length of a field's name and all names, the fields of one record after another."""
    length = int(_numbers(next(parts), order)[0])
    text = next(parts).content
    if length < 1 or len(text) % length:
        raise BadValue("it is damaged: the names of its fields have no length")
    names = [text[at : at + length].partition(b"\0")[0].decode("ascii") for at in range(0, len(text), length)]
    if not set(wanted) <= set(names):
        raise BadValue(f"its records have the fields {', '.join(names)}, not {', '.join(wanted)}")
    row: dict[str, Any] = {}
    for number, part in enumerate(parts):
        field = names[number % len(names)]
        if field in wanted:
            row[field] = _value(part, order)
        if number % len(names) == len(names) - 1:
            yield row
            row = {}
    if row:
        raise BadValue("it is damaged: its last record has no end")


def _value(part: _Part, order: str) -> Any:
    """One number, or a text."""
    if part.kind != _MATRIX:
        raise BadValue("it is damaged: a field is no array")
    kind, _, _, parts = _matrix(part.content, order)
    numbers = _numbers(next(parts), order)
    if kind == _TEXT:
        return "".join(map(chr, numbers.tolist()))
    if kind not in _NUMBERS or numbers.size != 1:
        raise BadValue("a field that should be a number is none")
    return numbers[0].item()


def _numbers(part: _Part, order: str) -> np.ndarray:
    if part.kind not in _TYPES:
        raise BadValue(f"it is damaged: numbers of type {part.kind}")
    dtype = np.dtype(order + _TYPES[part.kind])
    if len(part.content) % dtype.itemsize:
        raise BadValue("it is damaged: half a number")
    return np.frombuffer(part.content, dtype)
