"""Keras models in two files: the layers as `to_json` wrote them, and what `save_weights` wrote, beside each other."""

from __future__ import annotations

import pathlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from slim_models import files
from slim_models.mistakes import BadValue, MissingFile, Mistake
from slim_models.weights import open_hdf5

_HDF5 = b"\x89HDF\r\n\x1a\n"
_WEIGHTS = (".h5", ".hdf5")
_LARGEST = 2**25  # bytes of layers; annotations of pictures, which are JSON too, may have gigabytes
_MOST_LISTED = 5
_MOST_OPENED = 20  # files of other names, of which it is looked what they are


def is_hdf5(path: pathlib.Path) -> bool:
    """Whether a file is HDF5, by its first bytes."""
    with path.open("rb") as file:
        return file.read(len(_HDF5)) == _HDF5


def is_architecture(path: pathlib.Path) -> bool:
    """Whether a file has a Keras model's layers in JSON."""
    if path.suffix.lower() != ".json":
        return False
    try:
        read_architecture(path)
    except Mistake:
        return False
    return True


def read_architecture(path: pathlib.Path) -> dict[str, Any]:
    """What `model.to_json()` wrote.

    Raises:
        ValueError: it did not.
    """
    size = path.stat().st_size
    if size > _LARGEST:
        raise BadValue(f"{path} has {size:,} bytes, and no model's layers as Keras' model.to_json() writes them")
    found = files.parsed_json(path.read_bytes(), str(path))
    if not (isinstance(found, dict) and "class_name" in found and isinstance(found.get("config"), (Mapping, list))):
        raise BadValue(f"{path} is JSON, and no model's layers as Keras' model.to_json() writes them")
    return found


def weights_beside(architecture: pathlib.Path) -> pathlib.Path:
    """The weights of a model of which there are the layers.

    Raises:
        FileNotFoundError: none are beside it.
        ValueError: several are.
    """
    folder = architecture.absolute().parent
    there = [path for path in sorted(folder.iterdir()) if path.suffix.lower() in _WEIGHTS]
    found = _nearest(architecture, there, _holds_weights)
    if not found:
        raise MissingFile(
            f"{architecture} has a model's layers without their weights: put beside it what model.save_weights wrote, "
            f"{architecture.stem}.h5, or give that as weights"
        )
    if len(found) > 1:
        raise BadValue(f"beside {architecture} are several files of weights, {_listed(found)}: give one as weights")
    return found[0]


def architecture_beside(weights: pathlib.Path) -> pathlib.Path | None:
    """The layers of a model of which there are the weights; None if none are beside them.

    Raises:
        ValueError: several are.
    """
    folder = weights.absolute().parent
    found = _nearest(weights, sorted(folder.glob("*.json")), is_architecture)
    if len(found) > 1:
        raise BadValue(f"beside {weights} are the layers of several models, {_listed(found)}: give one as the network")
    return found[0] if found else None


def _holds_weights(path: pathlib.Path) -> bool:
    try:
        if not path.is_file() or not is_hdf5(path):
            return False
        with open_hdf5(path) as file:
            return "model_config" not in file.attrs
    except (Mistake, OSError):
        return False


def _nearest(
    path: pathlib.Path, others: Sequence[pathlib.Path], is_one: Callable[[pathlib.Path], bool]
) -> Sequence[pathlib.Path]:
    """Those of one kind whose name is nearest to a file's: the same, one that begins like it (`fer.json` and
    `fer_weights.h5`), or any."""
    own = path.name.partition(".")[0]
    names = {other: other.name.partition(".")[0] for other in others if other.absolute() != path.absolute()}
    same = [other for other, name in names.items() if name == own]
    like = [other for other, name in names.items() if name.startswith(own) or own.startswith(name)]
    for group in (same, like, list(names)):
        found = group if len(group) > _MOST_OPENED else [other for other in group if is_one(other)]
        if found:
            return found
    return []


def _listed(paths: Sequence[pathlib.Path]) -> str:
    more = f" and {len(paths) - _MOST_LISTED} more" if len(paths) > _MOST_LISTED else ""
    return ", ".join(path.name for path in paths[:_MOST_LISTED]) + more
