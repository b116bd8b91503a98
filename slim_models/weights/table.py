"""The sorted tables that TensorFlow's checkpoints are made of: blocks of keys and values, each with its CRC-32C.

A V1 checkpoint is one table; of a V2 checkpoint the index is one. The format is LevelDB's
(https://github.com/google/leveldb/blob/main/doc/table_format.md).
"""

from __future__ import annotations

import io
import os
import struct
from collections.abc import Iterator, Mapping
from typing import BinaryIO

import google_crc32c
import numpy as np

from slim_models.memory import aligned_bytes, freeze
from slim_models.mistakes import BadValue
from slim_models.weights.protobuf import varint

_FOOTER, _MAGIC = 48, 0xDB4775248B80FB57
_TRAILER, _PIECE = 5, 2**20  # bytes: how it is compressed and the CRC after every block; of one reading

Place = tuple[int, int]  # of a block, a value or numbers: where in the file, and how many bytes


def index_of(file: BinaryIO) -> Place | None:
    """The block with the places of all others; None if the file is no table."""
    if file.seek(0, os.SEEK_END) < _FOOTER:
        return None
    file.seek(-8, os.SEEK_END)
    if struct.unpack("<Q", file.read(8))[0] != _MAGIC:
        return None
    file.seek(-_FOOTER, os.SEEK_END)
    _, index = handle(file), handle(file)
    return index


def blocks(file: BinaryIO) -> list[Place]:
    """The blocks of a table that hold its values, in their order; none if the file is no table."""
    index = index_of(file)
    content = block_content(file, index) if index else b""
    return [handle(io.BytesIO(content[start : start + size])) for _, (start, size) in entries(content)]


def handle(file: BinaryIO) -> Place:
    """A block's place, as it is written at this point of the file."""
    return varint(file), varint(file)


def block_content(file: BinaryIO, block: Place) -> bytes:
    """All of a block, held against its CRC-32C.

    Raises:
        ValueError: it is damaged, or compressed, as TensorFlow has never written it.
        EOFError: the file ends before.
    """
    offset, size = block
    if offset + size + _TRAILER > file.seek(0, os.SEEK_END):
        raise EOFError("it ends in the middle of a block: truncated")
    file.seek(offset)
    content = file.read(size + _TRAILER)
    crc, stored = masked(google_crc32c.value(content[: size + 1])), struct.unpack("<I", content[size + 1 :])[0]
    if crc != stored:
        raise BadValue(f"a block of it is damaged: CRC-32C {crc:08x}, where {stored:08x} is stored")
    if content[size]:
        raise BadValue("a block of it is compressed")
    return content[:size]


def entries(content: bytes) -> Iterator[tuple[bytes, Place]]:
    """A block's keys, and the places of their values in it.

    Raises:
        ValueError: it is no block of a table; an `EOFError` where it ends in the middle of an entry.
    """
    restarts = struct.unpack("<I", content[-4:])[0] if len(content) > 4 else 0
    end, file, key = len(content) - 4 * (restarts + 1), io.BytesIO(content), b""
    while file.tell() < end:
        shared, unshared, size = varint(file), varint(file), varint(file)
        start = file.tell() + unshared
        if shared > len(key) or start + size > end:
            raise BadValue("an entry of it is longer than its block")
        key = key[:shared] + file.read(unshared)
        yield key, (start, size)
        file.seek(start + size)


def values(file: BinaryIO, block: Place) -> Iterator[Place]:
    """The places of a block's values.

    Raises:
        ValueError: it is compressed, as TensorFlow has never written it.
    """
    offset, size = block
    file.seek(offset + size)
    if file.read(1) != b"\0":
        raise BadValue("a block of it is compressed")
    file.seek(offset + size - 4)
    restarts = struct.unpack("<I", file.read(4))[0]
    place, end = offset, offset + size - 4 * (restarts + 1)
    while place < end:
        file.seek(place)
        _, key, value = varint(file), varint(file), varint(file)
        start = file.tell() + key
        yield start, value
        place = start + value


def read_floats(file: BinaryIO, block: Place, places: Mapping[str, Place]) -> dict[str, np.ndarray]:
    """Reads numbers in a block, held against the block's CRC-32C, which covers all of it.

    Args:
        file: the table.
        block: not a compressed one.
        places: name -> place of its numbers, float32.

    Returns:
        Name -> float32 `[count]`, read-only.

    Raises:
        ValueError: the block is damaged.
    """
    offset, size = block
    file.seek(offset)
    crc, found = 0, {}
    for name, (start, count) in sorted(places.items(), key=lambda item: item[1]):
        crc = _read_to(file, start, crc)
        content = aligned_bytes(count)
        if file.readinto(content) != count:  # type: ignore[attr-defined]
            raise EOFError("it ends in the middle of a block: truncated")
        crc = google_crc32c.extend(crc, content)
        found[name] = freeze(content.view("<f4"))
    crc = masked(_read_to(file, offset + size + 1, crc))
    stored = struct.unpack("<I", file.read(4))[0]
    if crc != stored:
        raise BadValue(
            f"the numbers of {', '.join(places)} are damaged: CRC-32C {crc:08x}, where {stored:08x} is stored"
        )
    return found


def _read_to(file: BinaryIO, end: int, crc: int) -> int:
    """The CRC after what lies between here and there."""
    left = end - file.tell()
    if left < 0:
        raise BadValue("its arrays overlap")
    while left:
        piece = file.read(min(left, _PIECE))
        if not piece:
            raise EOFError("it ends in the middle of a block: truncated")
        crc = google_crc32c.extend(crc, piece)
        left -= len(piece)
    return crc


def masked(crc: int) -> int:
    """A CRC as tables store it, so that one of data with CRCs in it is none of its own."""
    return (((crc >> 15) | (crc << 17)) + 0xA282EAD8) & 0xFFFFFFFF


def shards(index: bytes) -> int:
    """In how many files a V2 checkpoint has its data; 0 if that is no index, or a damaged one."""
    found = _header(index)
    return index[found[0]] if found else 0


def with_shards(index: bytes, count: int) -> bytes:
    """The index of a V2 checkpoint with all data in the first of so many files, and in the others none.

    Args:
        index: of a checkpoint with its data in one file.
        count: up to 127.

    Raises:
        ValueError: it is no index.
    """
    found = _header(index)
    if found is None:
        raise BadValue("it is no index of a checkpoint")
    place, end = found
    block = index[:place] + bytes([count]) + index[place + 1 : end + 1]
    return block + struct.pack("<I", masked(google_crc32c.value(block))) + index[end + _TRAILER :]


def _header(index: bytes) -> Place | None:
    """Where the number of shards is, and where the block ends in which it is; None of a damaged one.

    The first value, under an empty key, is a BundleHeaderProto, which begins with that number.
    """
    try:
        first = blocks(io.BytesIO(index))[0]
    except (IndexError, EOFError, ValueError, struct.error):
        return None
    end = sum(first)
    stored = index[end + 1 : end + _TRAILER]
    right = stored == struct.pack("<I", masked(google_crc32c.value(index[: end + 1])))
    # Of the entry nothing shared with a key before, no key, the value's length; field 1, a number of one byte.
    return (4, end) if right and first[0] == 0 and index[:2] == b"\0\0" and index[3] == 8 and index[4] < 128 else None
