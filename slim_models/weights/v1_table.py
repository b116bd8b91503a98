"""Where the numbers of a V1 checkpoint lie in its file.

TensorFlow's own reader of V1 checkpoints holds a tensor three times while it reads it, 1.2 GB for VGG16's
fc6. The file is a table (LevelDB's format) of SavedTensorSlices messages, whose packed floats can be
read in place. Whatever is not as plain as that is left to TensorFlow.
"""

from __future__ import annotations

import os
import pathlib
import struct
from collections.abc import Iterator
from typing import BinaryIO

from slim_models.protobuf import fields, varint

_FOOTER, _MAGIC = 48, 0xDB4775248B80FB57


def float_offsets(path: pathlib.Path) -> dict[str, tuple[int, int]]:
    """Finds tensors that are stored whole, as float32.

    Args:
        path: of a V1 checkpoint, which TensorFlow has opened without complaint.

    Returns:
        Variable name -> (offset in the file, number of bytes). A name that is stored in several slices,
        compressed, or as another type is not there.
    """
    found: dict[str, list[tuple[int, int]]] = {}
    with path.open("rb") as file:
        file.seek(os.fstat(file.fileno()).st_size - _FOOTER)
        _, index = _handle(file), _handle(file)
        file.seek(-8, os.SEEK_END)
        if struct.unpack("<Q", file.read(8))[0] != _MAGIC:
            return {}
        for position, _ in list(_values(file, *index)):
            file.seek(position)
            for start, end in _values(file, *_handle(file)):
                for name, place in _slices(file, start, end):
                    found.setdefault(name, []).append(place)
    return {name: places[0] for name, places in found.items() if len(places) == 1}


def _handle(file: BinaryIO) -> tuple[int, int]:
    """A block's offset and size."""
    return varint(file), varint(file)


def _values(file: BinaryIO, offset: int, size: int) -> Iterator[tuple[int, int]]:
    """Beginning and end of every value of a block; nothing of a compressed block."""
    file.seek(offset + size)
    if file.read(1) != b"\0":
        return
    file.seek(offset + size - 4)
    restarts = struct.unpack("<I", file.read(4))[0]
    place, end = offset, offset + size - 4 * (restarts + 1)
    while place < end:
        file.seek(place)
        _, key, value = varint(file), varint(file), varint(file)
        start = file.tell() + key
        yield start, start + value
        place = start + value


def _slices(file: BinaryIO, start: int, end: int) -> Iterator[tuple[str, tuple[int, int]]]:
    """Name and place of the floats of a SavedTensorSlices message's data; (0, 0) for other types."""
    file.seek(start)
    for part in fields(file, end):
        if part.number != 2 or part.wire_type != 2:  # its data; 1 is a description of all
            continue
        name, place = "", (0, 0)
        for field in fields(file, file.tell() + part.value):
            if field.number == 1:
                name = file.read(field.value).decode()
            elif field.number == 3:  # a TensorProto
                for inner in fields(file, file.tell() + field.value):
                    if inner.number == 5 and inner.wire_type == 2:  # float_val, packed
                        place = (file.tell(), inner.value)
        yield name, place
