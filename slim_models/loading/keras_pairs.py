"""Keras models in two files: the layers as `to_json` wrote them, and what `save_weights` wrote, beside each other."""

from __future__ import annotations

import pathlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from slim_models import files
from slim_models.mistakes import BadValue, MissingFile, Mistake
from slim_models.weights import open_hdf5

_HDF5 = b"\x89HDF\r\n\x1a\n"
_WEIGHTS = (".h5", ".hdf5")


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
    there = [path for path in sorted(folder.iterdir()) if path.suffix.lower() in _WEIGHTS and _holds_weights(path)]
    found = _of_same_name(architecture, there)
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
    found = _of_same_name(weights, [path for path in sorted(folder.glob("*.json")) if is_architecture(path)])
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


def _of_same_name(path: pathlib.Path, others: Sequence[pathlib.Path]) -> Sequence[pathlib.Path]:
    """Those of which one's name begins with the other's, `fer.json` and `fer_weights.h5`; if none is such, all."""
    own = path.name.partition(".")[0]
    names = {other: other.name.partition(".")[0] for other in others}
    same = [other for other in others if names[other] == own]
    like = [other for other in others if names[other].startswith(own) or own.startswith(names[other])]
    return same or like or others


def _listed(paths: Iterable[pathlib.Path]) -> str:
    return ", ".join(path.name for path in paths)
