"""Keras' files, of any version of it, opened by the installed one."""

from __future__ import annotations

import contextlib
import functools
import importlib.util
import json
import pathlib
import shutil
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from typing import Any

from slim_models import files
from slim_models.loading.keras import eagerly, of_keras_model
from slim_models.loading.keras_building import Builder
from slim_models.loading.keras_config import layers_of_networks, refuse_code, with_modules_of_operations
from slim_models.loading.keras_weights import give_weights
from slim_models.loading.originals import Original
from slim_models.mistakes import BadValue
from slim_models.weights import open_hdf5

_SUFFIXES = (".keras", ".h5", ".hdf5")
_HDF5 = b"\x89HDF\r\n\x1a\n"
Reader = Callable[[], Any]


def is_keras_file(path: pathlib.Path) -> bool:
    """Whether it is one by its first bytes, or should be by its name."""
    return path.suffix.lower() in _SUFFIXES or _is_hdf5(path) or _is_archive(path)


def _is_hdf5(path: pathlib.Path) -> bool:
    with path.open("rb") as file:
        return file.read(len(_HDF5)) == _HDF5


def _is_archive(path: pathlib.Path) -> bool:
    if not zipfile.is_zipfile(path):
        return False
    with zipfile.ZipFile(path) as archive:
        return "config.json" in archive.namelist()


def read_keras_model(path: pathlib.Path) -> Original:
    """A whole model, HDF5 of any Keras or `.keras`, as far as the installed Keras can build it.

    Raises:
        ValueError: it cannot, with the reason; or the file holds weights only, or code.
    """
    keras = _installed(path)
    if _is_hdf5(path):
        model = _hdf5_model(path, keras)
    elif _is_archive(path):
        model = _archived_model(path, keras)
    else:
        raise BadValue(f"{_cannot(keras, path)}: it is {files.kind(path)}")
    return of_keras_model(model, path.stem)


def _installed(path: pathlib.Path) -> Any:
    """The Keras that TensorFlow comes with, or the one that TF_USE_LEGACY_KERAS asks for."""
    import tensorflow

    try:
        return tensorflow.keras.models and tensorflow.keras
    except (ImportError, AttributeError) as error:
        raise BadValue(f"{path} is a Keras model, and TensorFlow finds no Keras: {_first_line(error)}") from error


def _archived_model(path: pathlib.Path, keras: Any) -> Any:
    try:
        with zipfile.ZipFile(path) as archive:
            refuse_code(json.loads(archive.read("config.json")), path, keras.utils.get_registered_object)
            if "model.weights.h5" in archive.namelist():
                with archive.open("model.weights.h5") as member, open_hdf5(member):
                    pass
    except (zipfile.BadZipFile, OSError, ValueError) as error:
        if isinstance(error, BadValue):
            raise
        raise BadValue(f"{_cannot(keras, path)}: {_first_line(error)}") from error
    return _first_that_can([functools.partial(_as_it_is, path, ".keras", keras)], keras, path)


def _hdf5_model(path: pathlib.Path, keras: Any) -> Any:
    with open_hdf5(path) as file:
        config = file.attrs.get("model_config")
        if config is None:
            raise BadValue(
                f"{_cannot(keras, path)}: it holds weights only, without their layers; save the whole model with "
                "model.save, or give the model in memory"
            )
        try:
            config = json.loads(config)
        except ValueError as error:
            raise BadValue(f"{_cannot(keras, path)}: {error}") from error
        refuse_code(config, path, keras.utils.get_registered_object)
        old = _text(file.attrs.get("keras_version", "1")).startswith(("0.", "1", "2."))
        theano = _text(file.attrs.get("backend", "")) == "theano"
    return _first_that_can(_readers(path, config, keras, old, theano), keras, path)


def _readers(path: pathlib.Path, config: dict[str, Any], keras: Any, old: bool, theano: bool) -> list[Reader]:
    """What to try, in order, with a model of Keras 1 or 2 (`old`) or of a later one."""
    ours: Reader = functools.partial(_rebuilt, path, config, keras)
    theirs: Reader = functools.partial(_as_it_is, path, ".h5", keras)
    if theano:  # whose kernels TensorFlow's Keras takes the wrong way round
        return [ours]
    if not old:
        return [theirs, functools.partial(_with_operations, path, config, keras)]
    if int(_version(keras).partition(".")[0]) < 3:
        return [theirs, ours]  # it reads its own files; ours is for what it has forgotten of Keras 1
    # Keras 3 has another hard_sigmoid than older ones, and mixes up models in models: it comes second.
    legacy = importlib.import_module("tf_keras") if importlib.util.find_spec("tf_keras") else None
    return [ours, theirs] + ([functools.partial(_as_it_is, path, ".h5", legacy)] if legacy is not None else [])


def _rebuilt(path: pathlib.Path, config: dict[str, Any], keras: Any) -> Any:
    """A model of Keras 1 or 2, built by us."""
    root = Builder(path, keras).model(config)
    with open_hdf5(path) as file:
        give_weights(file, root, path)
    return root.layer


def _with_operations(path: pathlib.Path, config: dict[str, Any], keras: Any) -> Any:
    """A model of Keras 3 with operations that are no layers, which itself takes for layers of their names."""
    config = with_modules_of_operations(config, keras)
    model = keras.Model.from_config(config["config"], custom_objects=layers_of_networks(keras))
    with _named(path, ".h5") as named:
        model.load_weights(named)
    return model


@contextlib.contextmanager
def _named(path: pathlib.Path, suffix: str) -> Iterator[str]:
    """The file under a name that ends as Keras wants it."""
    if path.suffix == suffix:
        yield str(path)
        return
    with tempfile.TemporaryDirectory() as folder:
        named = pathlib.Path(folder) / f"model{suffix}"
        try:
            named.symlink_to(path.resolve())
        except OSError:  # not everybody may, on Windows
            shutil.copyfile(path, named)
        yield str(named)


def _as_it_is(path: pathlib.Path, suffix: str, keras: Any) -> Any:
    """A model as Keras itself reads it, which goes by the suffix."""
    with _named(path, suffix) as named:
        return keras.models.load_model(named, compile=False, custom_objects=layers_of_networks(keras))


def _first_that_can(readers: list[Reader], keras: Any, path: pathlib.Path) -> Any:
    """The model that the first of them comes to; what we refuse ourselves is refused."""
    reasons: list[Exception] = []
    for read in readers:
        try:
            with eagerly():
                return read()
        except BadValue:
            raise
        except Exception as error:  # Keras raises nearly anything
            reasons.append(error)
    raise BadValue(f"{_cannot(keras, path)}: {_first_line(reasons[0])}") from reasons[0]


def _version(keras: Any) -> str:
    """That of the package, where the part of it that TensorFlow shows as its own has none, as with tf_keras."""
    package = importlib.import_module(keras.__name__.partition(".")[0])
    return str(getattr(keras, "__version__", None) or getattr(package, "__version__", "2"))


def _cannot(keras: Any, path: pathlib.Path) -> str:
    return f"Keras {_version(keras)} cannot read {path} as a model"


def _text(given: bytes | str) -> str:
    return given.decode() if isinstance(given, bytes) else str(given)


def _first_line(error: Exception) -> str:
    return next((line for line in str(error).splitlines() if line.strip()), type(error).__name__)
