"""Keras' files, of any version of it, opened by the installed one."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import importlib.util
import inspect
import json
import os
import pathlib
import re
import shutil
import tempfile
import zipfile
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from slim_models import files
from slim_models.loading.keras import eagerly, of_keras_model, reason_of
from slim_models.loading.keras_building import OLD_ACTIVATIONS, Builder
from slim_models.loading.keras_claims import check_claims, numbers_in
from slim_models.loading.keras_code import lambdas_of, refuse_code
from slim_models.loading.keras_config import (
    layers_of_networks,
    under_all_names,
    with_modules_of_operations,
)
from slim_models.loading.keras_pairs import (
    architecture_beside,
    is_architecture,
    is_hdf5,
    read_architecture,
    weights_beside,
)
from slim_models.loading.keras_weights import give_weights
from slim_models.loading.originals import Original
from slim_models.loading.passes import Say, silent
from slim_models.mistakes import BadValue
from slim_models.weights import check_sums, open_hdf5

_SUFFIXES = (".keras", ".h5", ".hdf5")
_WEIGHTS = "model.weights.h5"  # in an archive; instead of it there could be pickled arrays, model.weights.npz
Reader = Callable[[], Any]
_UNKNOWN = re.compile("locate|nknown|custom_object|register").search


def is_keras_file(path: pathlib.Path) -> bool:
    """Whether it is one by its first bytes, or should be by its name."""
    return path.suffix.lower() in _SUFFIXES or is_hdf5(path) or _is_archive(path) or is_architecture(path)


def _is_archive(path: pathlib.Path) -> bool:
    try:
        with zipfile.ZipFile(path) as archive:
            return "config.json" in archive.namelist()
    except Exception:  # it is none, or so damaged that it cannot be told what it was
        return False


def read_keras_model(
    path: pathlib.Path,
    custom_objects: Mapping[str, Any] | None = None,
    trusted: bool = False,
    weights: str | os.PathLike | None = None,
    say: Say = silent,
) -> Original:
    """A whole model, HDF5 of any Keras or `.keras`, as far as the installed Keras can build it; or one in two files.

    Args:
        path: of the file.
        custom_objects: classes and functions of the user's own, by the names that the file has for them.
        trusted: whether code in the file may be executed.
        weights: of a file of layers (`.json`); None are those beside it.
        say: is told which file is beside it.

    Raises:
        FileNotFoundError: there are no weights.
        ValueError: it cannot, with the reason; or the file holds weights only, or code.
    """
    keras = _installed(path)
    trust = _Trust(dict(custom_objects or {}), trusted)
    if is_hdf5(path):
        model = _hdf5_model(path, keras, trust, say)
    elif path.suffix.lower() == ".json":
        config, found = read_architecture(path), pathlib.Path(weights) if weights is not None else weights_beside(path)
        if weights is None:
            say(f"weights: {found.name} (found: beside {path.name})")
        model = _model_of(config, path, found, keras, trust)
    elif _is_archive(path):
        model = _archived_model(path, keras, trust)
    else:
        raise BadValue(f"{_cannot(keras, path)}: it is {files.kind(path)}")
    return of_keras_model(model, path.stem)


@dataclasses.dataclass(frozen=True)
class _Trust:
    """What the user knows of a file; each as of `read_keras_model`."""

    custom_objects: dict[str, Any]
    all: bool

    def functions(self, config: Any) -> dict[str, Any]:
        """What the user says that a model's Lambdas compute, by the names of these layers."""
        return {name: self.custom_objects[name] for name in lambdas_of(config) if name in self.custom_objects}

    def checked(
        self, config: Any, path: pathlib.Path, keras: Any, functions: Mapping[str, Any] | None = None
    ) -> contextlib.AbstractContextManager:
        """Refuses code, and returns the scope in which Keras knows what is the user's own.

        Args:
            config: of the model.
            path: the file, to be named.
            keras: the installed one.
            functions: of Lambdas that are not refused, as of `functions`; None if none can be given.
        """
        objects = under_all_names(config, self.custom_objects)
        # A scope hides those that the user may have opened.
        scope = keras.utils.custom_object_scope(objects) if objects else contextlib.nullcontext()
        if not self.all:
            with scope:
                refuse_code(config, path, keras.utils.get_registered_object, functions)
        return scope


def _installed(path: pathlib.Path) -> Any:
    """The Keras that TensorFlow comes with, or the one that TF_USE_LEGACY_KERAS asks for."""
    import tensorflow

    try:
        return tensorflow.keras.models and tensorflow.keras
    except (ImportError, AttributeError) as error:
        raise BadValue(f"{path} is a Keras model, and TensorFlow finds no Keras: {reason_of(error)}") from error


def _archived_model(path: pathlib.Path, keras: Any, trust: _Trust) -> Any:
    try:
        with zipfile.ZipFile(path) as archive:
            check_sums(archive, path.stat().st_size)  # Keras reads in places, where none is checked
            config = files.parsed_json(archive.read("config.json"), f"{_cannot(keras, path)}: its config.json")
            scope = trust.checked(config, path, keras)
            if _WEIGHTS not in archive.namelist() and not trust.all:
                raise BadValue(
                    f"{path} does not have its weights as {_WEIGHTS}: Keras would read them as a pickle, which can run "
                    "anything; save the model with model.save, or, if you trust where the file comes from, give "
                    "trusted=True (--trusted)"
                )
            if _WEIGHTS in archive.namelist():
                with archive.open(_WEIGHTS) as member, open_hdf5(member) as file:
                    check_claims(config, numbers_in(file), path)
    except BadValue:
        raise
    except Exception as error:  # of a damaged archive nearly anything
        raise BadValue(f"{_cannot(keras, path)}: {reason_of(error)}") from error
    with scope:
        return _first_that_can([functools.partial(_as_it_is, path, ".keras", keras, trust.all)], keras, path)


def _hdf5_model(path: pathlib.Path, keras: Any, trust: _Trust, say: Say) -> Any:
    with open_hdf5(path) as file:
        config = file.attrs.get("model_config")
    if config is not None:
        config = files.parsed_json(config, f"{_cannot(keras, path)}: its model_config")
        return _model_of(config, path, path, keras, trust)
    architecture = architecture_beside(path)
    if architecture is None:
        raise BadValue(
            f"{_cannot(keras, path)}: it holds weights only, without their layers; save the whole model with "
            "model.save, put beside it what model.to_json() writes, or give the model in memory"
        )
    say(f"layers of the model: {architecture.name} (found: beside {path.name})")
    return _model_of(read_architecture(architecture), architecture, path, keras, trust)


def _model_of(
    config: dict[str, Any], architecture: pathlib.Path, weights: pathlib.Path, keras: Any, trust: _Trust
) -> Any:
    """A model whose layers and weights are in one HDF5 file, or in two."""
    if not is_hdf5(weights):
        raise BadValue(
            f"{weights} is no HDF5 file of weights for the layers in {architecture}: it is {files.kind(weights)}"
        )
    with open_hdf5(weights) as file:
        whole = architecture == weights
        # Keras 1 did not say its version, and Keras 3 does not say it of weights alone.
        unsaid = "1" if whole or "layer_names" in file.attrs else "3"
        said = None if whole else config.get("keras_version")
        old = _is_old(said or file.attrs.get("keras_version", unsaid))
        theano, numbers = _text(file.attrs.get("backend", "")) == "theano", numbers_in(file)
    check_claims(config, numbers, architecture)
    functions = trust.functions(config) if old else {}
    with trust.checked(config, architecture, keras, functions if old else None):
        builder = Builder(architecture, keras, trust.all, functions, numbers)
        readers = _readers(builder, config, weights, old, theano or bool(functions))
        return _first_that_can(readers, keras, architecture)


def _readers(builder: Builder, config: dict[str, Any], weights: pathlib.Path, old: bool, alone: bool) -> list[Reader]:
    """What to try, in order, with a model of Keras 1 or 2 (`old`) or of a later one.

    We are `alone` with Theano's kernels, which TensorFlow's Keras takes the wrong way round, and with Lambdas of whose
    code nothing is wanted.
    """
    path, keras, whole = builder.path, builder.keras, builder.path == weights

    def by(keras: Any) -> Reader:
        if whole:
            return functools.partial(_as_it_is, path, ".h5", keras, builder.trusted)
        return functools.partial(_of_two_as_they_are, config, weights, keras)

    ours: Reader = functools.partial(_rebuilt, builder, config, weights)
    if alone:
        return [ours]
    if not old:
        return [by(keras), *([functools.partial(_with_operations, path, config, keras)] if whole else [])]
    if int(_version(keras).partition(".")[0]) < 3:
        return [by(keras), ours]  # it reads its own files; ours is for what it has forgotten of Keras 1
    # Keras 3 has another hard_sigmoid than older ones, and mixes up models in models: it comes second.
    legacy = [importlib.import_module("tf_keras")] if importlib.util.find_spec("tf_keras") else []
    return [ours, by(keras), *map(by, legacy)]


def _of_two_as_they_are(config: dict[str, Any], weights: pathlib.Path, keras: Any) -> Any:
    """A model of which Keras itself reads layers and weights, these by how their name ends."""
    model = keras.models.model_from_json(json.dumps(config), custom_objects=layers_of_networks(keras))
    with open_hdf5(weights) as file:
        suffix = ".h5" if "layer_names" in file.attrs else ".weights.h5"
    with _named(weights, suffix) as named:
        model.load_weights(named)
    return model


def _rebuilt(builder: Builder, config: dict[str, Any], weights: pathlib.Path) -> Any:
    """A model of Keras 1 or 2, built by us."""
    with _known(OLD_ACTIVATIONS, builder.keras):
        root = builder.model(config)
    with open_hdf5(weights) as file:
        give_weights(file, root, weights)
    return root.layer


@contextlib.contextmanager
def _known(functions: Mapping[str, Any], keras: Any) -> Iterator[None]:
    """Makes functions of ours known to Keras; a scope would hide those that the user may have opened."""
    objects = keras.utils.get_custom_objects()
    own = {name: function for name, function in functions.items() if name not in objects}
    objects.update(own)
    try:
        yield
    finally:
        for name in own:
            objects.pop(name, None)


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


def _as_it_is(path: pathlib.Path, suffix: str, keras: Any, trusted: bool) -> Any:
    """A model as Keras itself reads it, which goes by the suffix."""
    read = functools.partial(keras.models.load_model, compile=False, custom_objects=layers_of_networks(keras))
    if trusted and "safe_mode" in inspect.signature(keras.models.load_model).parameters:
        read = functools.partial(read, safe_mode=False)
    with _named(path, suffix) as named:
        return read(named)


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
    reason = reason_of(reasons[0])
    hint = "; classes and functions of your own are given as custom_objects (in Python)" if _UNKNOWN(reason) else ""
    raise BadValue(f"{_cannot(keras, path)}: {reason}{hint}") from reasons[0]


def _version(keras: Any) -> str:
    """That of the package, where the part of it that TensorFlow shows as its own has none, as with tf_keras."""
    package = importlib.import_module(keras.__name__.partition(".")[0])
    return str(getattr(keras, "__version__", None) or getattr(package, "__version__", "2"))


def _cannot(keras: Any, path: pathlib.Path) -> str:
    return f"Keras {_version(keras)} cannot read {path} as a model"


def _is_old(version: bytes | str) -> bool:
    """Whether a Keras before 3 wrote it."""
    return _text(version).startswith(("0.", "1", "2."))


def _text(given: bytes | str) -> str:
    return given.decode("utf-8", "replace") if isinstance(given, bytes) else str(given)
