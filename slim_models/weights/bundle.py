"""Checkpoints V2 read here, and not by TensorFlow, which a crafted one can end together with its process.

An index, `.index`, is a table of names and of where in the files of data, `.data-00000-of-00001`, their numbers are
(tensorflow/core/protobuf/tensor_bundle.proto). A variable that was saved in parts has an entry for each of them too.
"""

from __future__ import annotations

import functools
import io
import math
import pathlib
import struct
from collections.abc import Iterable, Iterator
from typing import NamedTuple

import google_crc32c
import numpy as np

from slim_models.memory import aligned_bytes, freeze
from slim_models.mistakes import BadValue, MissingFile
from slim_models.weights.archives import check_claim
from slim_models.weights.protobuf import fields
from slim_models.weights.table import block_content, blocks, entries, masked

_TYPES = {1: "<f4", 2: "<f8", 3: "<i4", 4: "u1", 5: "<i2", 6: "i1", 8: "<c8", 9: "<i8", 10: "?", 17: "<u2"}
_TYPES |= {18: "<c16", 19: "<f2", 22: "<u4", 23: "<u8"}
_BFLOAT16 = 14
_WHOLE = -1  # length of a part along an axis that is not divided
# What a signed number of so many bytes begins with, in an order that is that of the numbers (OrderedCode).
_HEADERS = (0, 0, 0x80, 0, 0xC0, 0, 0xE0, 0, 0xF0, 0, 0xF8, 0, 0xFC, 0, 0xFE, 0, 0xFF, 0, 0xFF, 0x80, 0xFF, 0xC0)

Extents = tuple[tuple[int, int], ...]  # of a part: where it begins along each axis, and how long it is


class Entry(NamedTuple):
    """What an index says of a variable, or of a part of one.

    Attributes:
        kind: number of its type, as in tensorflow/core/framework/types.proto.
        shape: its sizes.
        shard: in which of the files of data it is.
        offset: where in it.
        size: bytes.
        crc: CRC-32C of these, masked.
        parts: that it was saved in; empty if it is whole.
    """

    kind: int
    shape: tuple[int, ...]
    shard: int
    offset: int
    size: int
    crc: int
    parts: tuple[Extents, ...]


class Bundle:
    """A checkpoint V2, of which nothing but the index has been read.

    Attributes:
        shapes: of all variables, by name.
    """

    def __init__(self, prefix: pathlib.Path) -> None:
        """Reads the index.

        Args:
            prefix: what the names of all of its files begin with.

        Raises:
            FileNotFoundError: there is none.
            ValueError: it is none, or damaged. A damaged one can raise an `EOFError` too.
        """
        self._prefix = prefix
        index = prefix.with_name(f"{prefix.name}.index")
        if not index.is_file():
            raise MissingFile(f"a part of the checkpoint {prefix} is missing: {index}")
        self._entries, header = _read_index(index)
        self._shards = header.get(1, 1)
        if header.get(2):
            raise BadValue("its numbers are big-endian, which none of today's machines writes")
        parts = prefix.parent.glob(f"{prefix.name}.data-?????-of-?????")
        claimed = sum(entry.size for entry in self._entries.values() if not entry.parts)
        check_claim(claimed, sum(part.stat().st_size for part in parts))  # several may be in one place
        self.shapes = {key.decode(): entry.shape for key, entry in self._entries.items() if not key.startswith(b"\0")}

    def arrays(self, names: Iterable[str]) -> dict[str, np.ndarray]:
        """Variables by name, as of `read`."""
        return {name: self.read(name) for name in names}

    def read(self, name: str) -> np.ndarray:
        """A variable, read-only, whose bytes have been held against their CRC-32C.

        Raises:
            FileNotFoundError: the file of data is not there.
            ValueError: it is no array of numbers, or what is there is not what the index tells of; an `EOFError` where
                the file is too short.
        """
        entry = self._entries[name.encode()]
        return freeze(self._of_parts(name, entry)) if entry.parts else self._whole(name, entry)

    def _whole(self, name: str, entry: Entry) -> np.ndarray:
        dtype = _dtype(entry.kind, name)
        if math.prod(entry.shape) * dtype.itemsize != entry.size:
            raise BadValue(f"{name} {list(entry.shape)} of {dtype} cannot be of {entry.size} bytes")
        path = self._prefix.with_name(f"{self._prefix.name}.data-{entry.shard:05d}-of-{self._shards:05d}")
        if not path.is_file():
            raise MissingFile(f"a part of the checkpoint {self._prefix} is missing: {path}")
        with path.open("rb") as file:
            if entry.offset + entry.size > path.stat().st_size:
                raise EOFError(f"{path.name} ends before {name} does: truncated")
            file.seek(entry.offset)
            content = aligned_bytes(entry.size)
            file.readinto(content.data)
        crc = masked(google_crc32c.extend(0, content))
        if crc != entry.crc:
            raise BadValue(f"the numbers of {name} are damaged: CRC-32C {crc:08x}, where {entry.crc:08x} is stored")
        return freeze(content.view(dtype).reshape(entry.shape))

    def _of_parts(self, name: str, entry: Entry) -> np.ndarray:
        parts = {extents: self._entries.get(_part_key(name, extents)) for extents in entry.parts}
        sizes = [part.size for part in parts.values() if part is not None]
        dtype = _dtype(entry.kind, name)
        # Each number is in one part, so that no part's place can be taken twice and none left out.
        if None in parts.values() or sum(sizes) != math.prod(entry.shape) * dtype.itemsize:
            raise BadValue(f"the {len(entry.parts)} parts of {name} are not the whole of it")
        result = aligned_bytes(sum(sizes)).view(dtype).reshape(entry.shape)
        missing = np.ones(entry.shape, bool)
        for extents, part in parts.items():
            assert part is not None
            place = tuple(slice(first, None if size == _WHOLE else first + size) for first, size in extents)
            if len(place) != result.ndim or part.kind != entry.kind or result[place].shape != part.shape:
                raise BadValue(f"a part of {name} is not as large as its place")
            result[place], missing[place] = self._whole(name, part), False
        if missing.any():
            raise BadValue(f"the {len(entry.parts)} parts of {name} are not the whole of it")
        return result


def _dtype(kind: int, name: str) -> np.dtype:
    if kind == _BFLOAT16:
        import tensorflow.compat.v1 as tf

        return np.dtype(tf.bfloat16.as_numpy_dtype)
    if kind not in _TYPES:
        raise BadValue(f"{name} is no array of numbers")
    return np.dtype(_TYPES[kind])


def _read_index(path: pathlib.Path) -> tuple[dict[bytes, Entry], dict[int, int]]:
    """The entries by key, and the header's numbers by field."""
    found: dict[bytes, Entry] = {}
    header: dict[int, int] = {}
    size, long = path.stat().st_size, 0
    with path.open("rb") as file:
        places = blocks(file)
        if not places:
            raise BadValue("it is no table of TensorFlow's (sstable)")
        for place in places:
            content = block_content(file, place)
            for key, (start, length) in entries(content):
                long += len(key)  # of each only the end is stored, where it begins as the one before
                check_claim(long, size, "its names")
                value = content[start : start + length]
                if key:
                    found[key] = _entry(value)
                else:
                    header = _numbers(value)
    return found, header


def _entry(content: bytes) -> Entry:
    numbers = _numbers(content)
    shape = [dict(_numbers(dim)).get(1, 0) for part in _parts(content, 2) for dim in _parts(part, 2)]
    (crc,) = struct.unpack("<I", next(iter(_parts(content, 6)), bytes(4)))
    if any(not 0 <= length < 2**48 for length in shape):
        raise BadValue(f"an array of the shape {shape}")
    parts = tuple(tuple(map(_extent, _parts(part, 1))) for part in _parts(content, 7))
    kind, shard, offset, size = (numbers.get(number, 0) for number in (1, 3, 4, 5))
    return Entry(kind, tuple(shape), shard, offset, size, crc, parts)


def _extent(content: bytes) -> tuple[int, int]:
    numbers = _numbers(content)
    return numbers.get(1, 0), numbers.get(2, _WHOLE)


def _numbers(content: bytes) -> dict[int, int]:
    """The fields of a message that are whole numbers."""
    return {field.number: field.value for field in fields(io.BytesIO(content), len(content)) if field.wire_type == 0}


def _parts(content: bytes, number: int) -> Iterator[bytes]:
    """What is in the fields of a message with that number, messages or four bytes each."""
    file = io.BytesIO(content)
    return (file.read(4 if f.wire_type == 5 else f.value) for f in fields(file, len(content)) if f.number == number)


def _part_key(name: str, extents: Extents) -> bytes:
    """The key of a part of a variable (EncodeTensorNameSlice), in an order that is that of names and numbers."""
    escaped = name.encode().replace(b"\xff", b"\xff\x00").replace(b"\0", b"\0\xff") + b"\0\x01"
    count = len(extents)
    signed = b"".join(_signed(number) for extent in extents for number in extent)
    return b"\0" + escaped + (bytes([1, count]) if count else b"\0") + signed


@functools.lru_cache(1024)
def _signed(number: int) -> bytes:
    length = (~number if number < 0 else number).bit_length() // 7 + 1
    content = bytearray(number.to_bytes(max(length, 10), "big", signed=True)[-length:])
    for place, header in enumerate(_HEADERS[2 * length : 2 * length + 2][:length]):
        content[place] ^= header
    return bytes(content)
