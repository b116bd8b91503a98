"""Checkpoints V2 read here, and not by TensorFlow, which a crafted one can end together with its process.

An index, `.index`, is a table of names and of where in the files of data, `.data-00000-of-00001`, their numbers are
(tensorflow/core/protobuf/tensor_bundle.proto). A variable that was saved in parts has an entry for each of them too.
"""

from __future__ import annotations

import functools
import math
import pathlib
import struct
from collections.abc import Iterable
from typing import NamedTuple

import google_crc32c
import numpy as np

from slim_models.memory import aligned_bytes, freeze
from slim_models.mistakes import BadValue, MissingFile
from slim_models.weights.archives import check_claim
from slim_models.weights.protobuf import few, messages_in, numbers_in
from slim_models.weights.table import block_content, blocks, entries, masked
from slim_models.weights.tensors import Extents, assembled, dtype_of, extents_in, shape_in

# What a signed number of so many bytes begins with, in an order that is that of the numbers (OrderedCode).
_HEADERS = (0, 0, 0x80, 0, 0xC0, 0, 0xE0, 0, 0xF0, 0, 0xF8, 0, 0xFC, 0, 0xFE, 0, 0xFF, 0, 0xFF, 0x80, 0xFF, 0xC0)


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
        dtype = dtype_of(entry.kind, name)
        if _size(entry, dtype) != entry.size:
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
        there = {extents: part for extents, part in parts.items() if part is not None}
        dtype = dtype_of(entry.kind, name)
        # Each number is in one part, so that parts that are not there claim nothing.
        if len(there) < len(parts) or sum(part.size for part in there.values()) != _size(entry, dtype):
            raise BadValue(f"the {len(entry.parts)} parts of {name} are not the whole of it")
        read = ((extents, self._whole(name, part)) for extents, part in there.items())
        return assembled(name, entry.shape, dtype, read)


def _size(entry: Entry, dtype: np.dtype) -> int:
    return math.prod(entry.shape) * dtype.itemsize


def _read_index(path: pathlib.Path) -> tuple[dict[bytes, Entry], dict[int, int]]:
    """The entries by key, and the header's numbers by field."""
    found: dict[bytes, Entry] = {}
    header: dict[int, int] = {}
    size, long = path.stat().st_size, 0
    with path.open("rb") as file:
        places = blocks(file)
        if not places:
            raise BadValue("it is no table of TensorFlow's (sstable)")
        contents = (block_content(file, place) for place in places)
        for content, (key, (start, length)) in few((c, entry) for c in contents for entry in entries(c)):
            long += len(key)  # of each only the end is stored, where it begins as the one before
            check_claim(long, size, "its names")
            value = content[start : start + length]
            if key:
                found[key] = _entry(value, key.decode(errors="replace"))
            else:
                header = numbers_in(value)
    return found, header


def _entry(content: bytes, name: str) -> Entry:
    numbers = numbers_in(content)
    shape = shape_in(b"".join(messages_in(content, 2)), name)
    (crc,) = struct.unpack("<I", next(messages_in(content, 6), bytes(4)))
    kind, shard, offset, size = (numbers.get(number, 0) for number in (1, 3, 4, 5))
    return Entry(kind, shape, shard, offset, size, crc, tuple(map(extents_in, messages_in(content, 7))))


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
