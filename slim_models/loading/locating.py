"""What a user gives as a network, a path of whatever was written, a session, a graph or a model, opened."""

from __future__ import annotations

import dataclasses
import os
import pathlib
from collections.abc import Mapping
from typing import Any

import tensorflow.compat.v1 as tf

from slim_models.loading.keras import is_keras_model, of_keras_model
from slim_models.loading.keras_files import is_keras_file, read_keras_model
from slim_models.loading.originals import Original, read_frozen, read_meta, read_saved_model
from slim_models.loading.passes import Say, silent
from slim_models.loading.sessions import is_session, of_graph, of_session
from slim_models.mistakes import BadValue, MissingFile
from slim_models.weights import checkpoint_in

_PYTORCH = (".pth", ".pt", ".safetensors")
_WEIGHTS = (".npy", ".npz", ".ckpt", ".caffemodel", *_PYTORCH)


@dataclasses.dataclass(frozen=True)
class Opening:
    """How to open what has to be built first, Keras models, or trusted; each as of `load`."""

    size: tuple[int, int] | None = None
    custom_objects: Mapping[str, Any] | None = None
    trusted: bool = False
    say: Say = silent
    weights: str | os.PathLike | None = None


def open_original(given: Any, how: Opening = Opening()) -> Original:
    """Opens a path, a session, a graph or a Keras model.

    Raises:
        FileNotFoundError: there is nothing at the path.
        ValueError: it is nothing that can be opened.
    """
    if is_session(given):
        return of_session(given)
    if isinstance(given, tf.Graph):
        return of_graph(given)
    if isinstance(given, (str, os.PathLike)):
        return _at_path(pathlib.Path(given), how)
    if is_keras_model(given):
        return of_keras_model(given, size=how.size, say=how.say)
    raise BadValue(f"a network is a path, a tf.Session, a tf.Graph or a Keras model, not {given!r}")


def _at_path(path: pathlib.Path, how: Opening) -> Original:
    if path.is_dir():
        return _in_folder(path, how.trusted)
    if path.suffix == ".meta" or path.with_name(f"{path.name}.meta").is_file():
        return read_meta(path, how.trusted)
    if path.name.endswith(".index") or ".data-" in path.name:
        return read_meta(path.with_suffix(""), how.trusted)
    if path.is_file() and is_keras_file(path):
        return read_keras_model(path, how.custom_objects, how.trusted, how.weights, how.say)
    if path.suffix.lower() in _WEIGHTS or path.with_name(f"{path.name}.index").is_file():
        whole = "the SavedModel, the frozen graph or the checkpoint with its .meta"
        if path.suffix.lower() in _PYTORCH:
            whole = "a SavedModel: export it to ONNX, and that to a SavedModel (onnx2tf does)"
        raise BadValue(
            f"{path} holds weights without their graph: they are for a network of ours, which takes them as its "
            f"weights; of another network give {whole}"
        )
    if not path.is_file():
        raise MissingFile(f"no network at {path}")
    if path.name in ("saved_model.pb", "saved_model.pbtxt"):
        return read_saved_model(path.parent, how.trusted)
    return read_frozen(path, how.trusted)


def _in_folder(folder: pathlib.Path, trusted: bool) -> Original:
    if (folder / "saved_model.pb").is_file() or (folder / "saved_model.pbtxt").is_file():
        return read_saved_model(folder, trusted)
    return read_meta(checkpoint_in(folder, "a SavedModel, or one checkpoint with its .meta"), trusted)
