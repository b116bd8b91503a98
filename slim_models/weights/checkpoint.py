"""TensorFlow's checkpoints, V1 and V2 -> `{variable name: array}`."""

from __future__ import annotations

import contextlib
import pathlib
import re
from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

import numpy as np
from google.protobuf import text_encoding

from slim_models import files
from slim_models.mistakes import BadValue, MissingFile
from slim_models.weights.bundle import Bundle
from slim_models.weights.slices import TensorSlices

_RECORD = 2**24  # bytes; a record has a line for each checkpoint that is kept
_NEWEST = re.compile(rb'^\s*model_checkpoint_path\s*:\s*"((?:[^"\\\n]|\\.)*)"', re.MULTILINE)
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
        found = TensorSlices(prefix) if is_v1 else Bundle(prefix)
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
        ValueError: the record is none, or names what is outside of the folder.
    """
    latest = _recorded(folder)
    if latest is not None and files.is_there(latest):
        return latest
    # A V1 checkpoint, `model.ckpt-1000`, is known by the graph beside it where its name does not end in .ckpt.
    beside = [*folder.glob("*.index"), *folder.glob("*.meta")]
    found = {path.with_suffix("") for path in beside} | set(folder.glob("*.ckpt"))
    if len(found) != 1:
        names = ", ".join(sorted(path.name for path in found)) or "none"
        raise MissingFile(f"{folder} should hold {wanted}; found: {names}")
    return found.pop()


def _recorded(folder: pathlib.Path) -> pathlib.Path | None:
    """The checkpoint that the record of a training, `checkpoint`, names as the newest; None if there is no record.

    A folder that was moved has a record of where it was: then the checkpoint of that name in it is meant.
    """
    record = folder / "checkpoint"
    if not record.is_file() or record.stat().st_size > _RECORD:
        return None
    found = _NEWEST.search(record.read_bytes())
    if found is None:
        return None
    text = text_encoding.CUnescape(found[1].decode(errors="replace")).decode(errors="replace")
    named = pathlib.Path(text.replace("\0", ""))  # which no path has
    path = folder / named  # an absolute one stays as it is
    if path.resolve().is_relative_to(folder.resolve()):
        return path
    if files.is_there(folder / named.name):
        return folder / named.name
    raise BadValue(f"{record} names {named}, which is outside of the folder: nothing there is read")
