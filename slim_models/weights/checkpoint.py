"""TensorFlow's checkpoints, V1 and V2 -> `{variable name: array}`."""

from __future__ import annotations

import contextlib
import math
import pathlib
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import BinaryIO, NamedTuple

import numpy as np

from slim_models import files
from slim_models.mistakes import BadValue, MissingFile
from slim_models.weights.bundle import Bundle
from slim_models.weights.protobuf import fields
from slim_models.weights.table import Place, blocks, read_floats, values

# Of the shapes by name, what to read: name in the result -> name of the variable.
Chosen = Callable[[Mapping[str, tuple[int, ...]]], Mapping[str, str]]


class Saved(NamedTuple):
    """Where a checkpoint has a value.

    Attributes:
        name: under which.
        part: which part of what is there; empty is all of it.
    """

    name: str
    part: tuple[slice, ...] = ()


def read_saved(path: pathlib.Path, places: Mapping[str, Saved]) -> dict[str, np.ndarray]:
    """Reads values of a checkpoint from where they are; name -> place gives name -> array.

    Raises:
        FileNotFoundError, ValueError: as of `read_checkpoint`, or there is nothing at a place.
    """

    def chosen(shapes: Mapping[str, tuple[int, ...]]) -> dict[str, str]:
        missing = sorted({place.name for place in places.values()} - shapes.keys())
        if missing:
            raise BadValue(f"{path} does not hold {missing[0]}{f' and {len(missing) - 1} more' if missing[1:] else ''}")
        return {name: place.name for name, place in places.items()}

    arrays = read_checkpoint(path, chosen)
    return {name: array[places[name].part] if places[name].part else array for name, array in arrays.items()}


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
    prefix = _checkpoint_prefix(path)
    # Beside an index, which is read first, a file of the prefix's name is another checkpoint.
    is_v1 = prefix.is_file() and not prefix.with_name(f"{prefix.name}.index").is_file()
    with _told(prefix):
        found = _FirstVersion(prefix) if is_v1 else Bundle(prefix)
    names = chosen(found.shapes)
    with _told(prefix):
        arrays = found.arrays(set(names.values()))
    return {name: arrays[old] for name, old in names.items()}


@contextlib.contextmanager
def _told(prefix: pathlib.Path) -> Iterator[None]:
    """Whatever a checkpoint that is none makes its reader raise, in a line."""
    try:
        yield
    except MissingFile:
        raise
    except Exception as error:  # a damaged one can make the readers raise nearly anything
        reason = (str(error) or type(error).__name__).splitlines()[0]
        file = prefix if prefix.is_file() else prefix.with_name(f"{prefix.name}.index")
        if not files.impostor(file) and _is_first_part(prefix, reason):
            raise BadValue(f"{prefix} is only the first part of a checkpoint: {reason}") from error
        if isinstance(error, BadValue) and "damaged" in reason:
            raise BadValue(f"{prefix} is a damaged checkpoint: {reason}") from error
        raise BadValue(f"{file} is not a checkpoint that can be read; it is {files.kind(file)}: {reason}") from error


class _FirstVersion:
    """A V1 file; what is not read in its place TensorFlow reads, and holds against the CRC of its block."""

    def __init__(self, path: pathlib.Path) -> None:
        import tensorflow.compat.v1 as tf

        self._path, self._reader = path, tf.train.load_checkpoint(str(path))
        shapes = self._reader.get_variable_to_shape_map()
        self.shapes = {name: tuple(shape) for name, shape in shapes.items()}

    def arrays(self, names: Collection[str]) -> dict[str, np.ndarray]:
        found = _in_place(self._path, {name: self.shapes[name] for name in names})
        return {name: found[name] if name in found else np.asarray(self._reader.get_tensor(name)) for name in names}


def _in_place(path: pathlib.Path, shapes: Mapping[str, Sequence[int]]) -> dict[str, np.ndarray]:
    """Those variables of a V1 file that are whole in their places there, held against the CRCs of their blocks."""
    offsets = float_offsets(path)
    found: dict[str, np.ndarray] = {}
    whole = {name: offsets[name] for name in shapes if offsets.get(name, (0, 0))[1] == 4 * math.prod(shapes[name]) > 0}
    with path.open("rb") as file:
        for block in blocks(file):
            inside = {name: place for name, place in whole.items() if block[0] <= place[0] < sum(block)}
            if inside:
                found |= read_floats(file, block, inside)
    return {name: numbers.reshape(shapes[name]) for name, numbers in found.items()}


def _is_first_part(prefix: pathlib.Path, reason: str) -> bool:
    if not prefix.is_file():  # V2: the index says how long the data should be, and ends with a mark of its own
        return "truncated" in reason or "sstable" in reason
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


def float_offsets(path: pathlib.Path) -> dict[str, Place]:
    """Finds tensors that are stored whole, as float32.

    Args:
        path: of a V1 checkpoint, which TensorFlow has opened without complaint.

    Returns:
        Variable name -> (offset in the file, number of bytes). A name that is stored in several slices,
        compressed, or as another type is not there.
    """
    found: dict[str, list[Place]] = {}
    with path.open("rb") as file:
        for block in blocks(file):
            for start, size in values(file, block):
                for name, place in _slices(file, start, start + size):
                    found.setdefault(name, []).append(place)
    return {name: places[0] for name, places in found.items() if len(places) == 1}


def _slices(file: BinaryIO, start: int, end: int) -> Iterator[tuple[str, Place]]:
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
