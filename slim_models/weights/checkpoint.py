"""TensorFlow's checkpoints, V1 and V2 -> `{variable name: array}`."""

from __future__ import annotations

import math
import os
import pathlib
import struct
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, BinaryIO

import numpy as np

from slim_models import files
from slim_models.mistakes import BadValue, MissingFile
from slim_models.weights.protobuf import fields, varint

if TYPE_CHECKING:
    import tensorflow.compat.v1 as tf

# Of the shapes by name, what to read: name in the result -> name of the variable.
Chosen = Callable[[Mapping[str, tuple[int, ...]]], Mapping[str, str]]
_FOOTER, _MAGIC = 48, 0xDB4775248B80FB57


def read_checkpoint(path: pathlib.Path, chosen: Chosen) -> dict[str, np.ndarray]:
    """Reads the variables of a checkpoint.

    Args:
        path: of a V1 file, the prefix of a V2 checkpoint, one of its files, or the directory with one.
        chosen: says which to read, and under which name.

    Returns:
        Variable name -> array.

    Raises:
        FileNotFoundError: there is no checkpoint, or a part of it is missing.
        ValueError: it is no checkpoint, or not the whole of one.
    """
    import tensorflow.compat.v1 as tf

    prefix = _checkpoint_prefix(path)
    try:
        reader = tf.train.load_checkpoint(str(prefix))
        shapes = reader.get_variable_to_shape_map()
        # Beside an index, which TensorFlow reads first, a file of the prefix's name is another checkpoint.
        is_v1 = prefix.is_file() and not prefix.with_name(f"{prefix.name}.index").is_file()
        places = float_offsets(prefix) if is_v1 else {}
        names = chosen({name: tuple(shape) for name, shape in shapes.items()})
        return {name: _in_place(prefix, places.get(old), shapes[old], old, reader) for name, old in names.items()}
    except BadValue:
        raise
    except Exception as error:  # TensorFlow raises OpError, IndexError, RuntimeError, ...
        reason = str(error).splitlines()[0]
        if "No such file" in reason:
            raise MissingFile(f"a part of the checkpoint {prefix} is missing: {reason}") from error
        file = prefix if prefix.is_file() else prefix.with_name(f"{prefix.name}.index")
        if not files.impostor(file) and _is_first_part(prefix, reason):
            raise BadValue(f"{prefix} is only the first part of a checkpoint: {reason}") from error
        raise BadValue(f"{file} is not a checkpoint that can be read; it is {files.kind(file)}: {reason}") from error


def _in_place(
    path: pathlib.Path, place: tuple[int, int] | None, shape: list[int], name: str, reader: tf.train.NewCheckpointReader
) -> np.ndarray:
    """A variable, read from its place in a V1 file if it is whole there, or else by TensorFlow."""
    count = math.prod(shape)
    if place is None or place[1] != 4 * count or not count:
        return np.asarray(reader.get_tensor(name))
    return np.fromfile(path, "<f4", count, offset=place[0]).reshape(shape)


def _is_first_part(prefix: pathlib.Path, reason: str) -> bool:
    if not prefix.is_file():  # V2: the index says how long the data should be, and ends with a mark of its own
        return "Read less bytes" in reason or "not an sstable" in reason
    with prefix.open("rb") as file:  # V1 begins with a block's first, empty key, and ends with a mark
        return file.read(2) == b"\0\0" and "sstable" in reason


def _checkpoint_prefix(path: pathlib.Path) -> pathlib.Path:
    """What TensorFlow's reader wants: a V1 file or the prefix of a V2 checkpoint."""
    if path.is_dir():
        return checkpoint_in(path)
    path = _prefix(path)
    if files.is_there(path):
        return path
    raise MissingFile(f"no weights at {path}")


def _prefix(path: pathlib.Path) -> pathlib.Path:
    for part in (".index", ".meta", ".data-00000-of-00001"):  # named by one of a V2 checkpoint's files
        if path.name.endswith(part):
            path = path.with_name(path.name.removesuffix(part))
    return path


def is_checkpoint(path: pathlib.Path) -> bool:
    """Whether there is a file, or a V2 checkpoint of that prefix or with a file of that name."""
    return files.is_there(_prefix(path))


def checkpoint_in(folder: pathlib.Path, wanted: str = "one checkpoint") -> pathlib.Path:
    """The newest checkpoint of a training's folder, or the only one of a folder without a record.

    Args:
        folder: where they are.
        wanted: what the error says that there should be.

    Raises:
        FileNotFoundError: there is none, or there are several and no record.
    """
    import tensorflow.compat.v1 as tf

    latest = tf.train.latest_checkpoint(str(folder))
    if latest:
        return pathlib.Path(latest)
    # A V1 checkpoint, `model.ckpt-1000`, is known by the graph beside it where its name does not end in .ckpt.
    beside = [*folder.glob("*.index"), *folder.glob("*.meta")]
    found = {path.with_suffix("") for path in beside} | set(folder.glob("*.ckpt"))
    if len(found) != 1:
        names = ", ".join(sorted(path.name for path in found)) or "none"
        raise MissingFile(f"{folder} should hold {wanted}; found: {names}")
    return found.pop()


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
