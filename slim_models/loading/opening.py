"""What a user calls a network -> the `Original` that it is."""

from __future__ import annotations

import os
import pathlib
from typing import Any

import tensorflow.compat.v1 as tf

from slim_models.checkpoints import checkpoint_in
from slim_models.files import is_there
from slim_models.keras_models import is_keras_model, of_keras_model, read_keras_model
from slim_models.originals import Original, of_graph, read_frozen, read_meta, read_saved_model

_WEIGHTS = (".npy", ".npz", ".ckpt", ".caffemodel")


def open_original(given: Any) -> Original:
    """Opens a path, a session, a graph or a Keras model.

    Raises:
        FileNotFoundError: there is nothing at the path.
        ValueError: it is nothing that can be opened.
    """
    if isinstance(given, tf.Session):
        return of_graph(given.graph, given)
    if isinstance(given, tf.Graph):
        return of_graph(given, None)
    if isinstance(given, (str, os.PathLike)):
        return _at_path(pathlib.Path(given))
    if is_keras_model(given):
        return of_keras_model(given)
    raise ValueError(f"a network is a path, a tf.Session, a tf.Graph or a Keras model, not {given!r}")


def _at_path(path: pathlib.Path) -> Original:
    if path.is_dir():
        return _in_folder(path)
    if path.suffix == ".meta" or path.with_name(f"{path.name}.meta").is_file():
        return read_meta(path)
    if path.name.endswith(".index") or ".data-" in path.name:
        return read_meta(path.with_suffix(""))
    if path.suffix.lower() in _WEIGHTS or path.with_name(f"{path.name}.index").is_file():
        raise ValueError(
            f"{path} holds weights without their graph: they are for a network of ours, which takes them as its weights"
        )
    if not path.is_file():
        raise FileNotFoundError(f"no network at {path}")
    if path.name in ("saved_model.pb", "saved_model.pbtxt"):
        return read_saved_model(path.parent)
    if path.suffix.lower() in (".keras", ".h5", ".hdf5"):
        return read_keras_model(path)
    return read_frozen(path)


def _in_folder(folder: pathlib.Path) -> Original:
    if (folder / "saved_model.pb").is_file() or (folder / "saved_model.pbtxt").is_file():
        return read_saved_model(folder)
    return read_meta(checkpoint_in(folder, "a SavedModel, or one checkpoint with its .meta"))


def exists(path: str | os.PathLike) -> bool:
    """Whether there is a file or folder of that name, or a checkpoint with that prefix."""
    path = pathlib.Path(path)
    return path.exists() or is_there(path) or path.with_name(f"{path.name}.meta").is_file()
