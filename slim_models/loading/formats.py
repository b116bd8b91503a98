"""What a file or a folder is, by its first bytes and what it says of itself; nothing is built."""

from __future__ import annotations

import contextlib
import json
import pathlib
import zipfile
from typing import Any, NamedTuple

import tensorflow.compat.v1 as tf
from google.protobuf import message

from slim_models import files
from slim_models.loading.keras_files import is_keras_file
from slim_models.loading.keras_pairs import architecture_beside, is_architecture, read_architecture, weights_beside
from slim_models.loading.originals import read_message
from slim_models.loading.refusals import is_saved_model, other_format
from slim_models.mistakes import Mistake
from slim_models.weights import checkpoint_in, open_hdf5

_OF_WEIGHTS = {".npy": "npy", ".npz": "npz", ".caffemodel": "caffemodel"}


class Format(NamedTuple):
    """What something is.

    Attributes:
        name: in words: `frozen graph`, `SavedModel of TensorFlow 2`, `Keras 2 model (HDF5)`, ...
        versions: what it says of the programs that wrote it: `{"keras": "2.2.4"}`.
        files: that it consists of.
        weights: whether it holds weights without a graph.
    """

    name: str
    versions: dict[str, str]
    files: list[pathlib.Path]
    weights: bool = False


def format_of(path: pathlib.Path) -> Format:
    """What is at a path at which there is something; of a damaged file, what it should be."""
    if path.is_dir():
        return _folder(path)
    prefix = path.with_name(path.name.removesuffix(".meta").removesuffix(".index").partition(".data-")[0])
    if prefix.with_name(f"{prefix.name}.meta").is_file() or prefix.with_name(f"{prefix.name}.index").is_file():
        return _checkpoint(prefix)
    if is_keras_file(path):
        return _keras(path)
    if path.suffix.lower() in _OF_WEIGHTS:
        return Format(f"weights alone ({_OF_WEIGHTS[path.suffix.lower()]})", {}, [path], weights=True)
    if path.suffix.lower() == ".ckpt":
        return Format("checkpoint of weights alone (V1)", {}, [path], weights=True)
    return _file(path)


def _folder(path: pathlib.Path) -> Format:
    for name in ("saved_model.pb", "saved_model.pbtxt"):
        if (path / name).is_file():
            return _saved_model(path, path / name)
    try:
        return _checkpoint(checkpoint_in(path))
    except Mistake:
        return Format("folder without a network", {}, [])


def _saved_model(folder: pathlib.Path, path: pathlib.Path) -> Format:
    from tensorflow.core.protobuf import saved_model_pb2

    parts = [part for part in folder.rglob("*") if part.is_file()]
    try:
        graphs = read_message(path, saved_model_pb2.SavedModel(), "a SavedModel").meta_graphs
    except Mistake:
        return Format("SavedModel", {}, parts)
    generation = 2 if any(graph.object_graph_def.nodes for graph in graphs) else 1
    infos = [graph.meta_info_def for graph in graphs]
    version = next((info.tensorflow_version for info in infos if info.tensorflow_version), None)
    tags = ", ".join("+".join(sorted(info.tags)) for info in infos)
    versions = {"tensorflow": version, "tags": tags}
    return Format(
        f"SavedModel of TensorFlow {generation}", {name: text for name, text in versions.items() if text}, parts
    )


def _checkpoint(prefix: pathlib.Path) -> Format:
    meta = prefix.with_name(f"{prefix.name}.meta")
    parts = [part for part in prefix.parent.glob(f"{prefix.name}*") if part.name[len(prefix.name) :][:1] in ("", ".")]
    kind = "V2" if prefix.with_name(f"{prefix.name}.index").is_file() else "V1"
    if not meta.is_file():
        return Format(f"checkpoint of weights alone ({kind})", {}, parts, weights=True)
    try:
        info = read_message(meta, tf.MetaGraphDef(), "a graph").meta_info_def
    except Mistake:
        return Format(f"checkpoint ({kind}) with .meta", {}, parts)
    versions = {"tensorflow": info.tensorflow_version} if info.tensorflow_version else {}
    return Format(f"checkpoint ({kind}) with its graph (.meta)", versions, parts)


def _keras(path: pathlib.Path) -> Format:
    try:
        if is_architecture(path):
            return _in_two_files(path, weights_beside(path))
    except Mistake:
        return Format("Keras layers alone (JSON)", {}, [path])
    try:
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                version = str(json.loads(archive.read("metadata.json")).get("keras_version", "3"))
            return Format(f"Keras {version.partition('.')[0]} model (.keras)", {"keras": version}, [path])
        with open_hdf5(path) as file:
            said = {name: file.attrs.get(name) for name in ("keras_version", "backend")}
            whole = "model_config" in file.attrs
            kept = any(name in file for name in ("layers", "model_weights", "_layer_checkpoint_dependencies"))
            kept = kept or "layer_names" in file.attrs
    except Exception:  # of a damaged one nearly anything
        return Format(f"damaged Keras file: {files.kind(path)}", {}, [path])
    texts = {name: _text(value) for name, value in said.items() if value is not None}
    version = texts.get("keras_version", "" if not whole else "1")
    versions = {"keras": texts["keras_version"]} if "keras_version" in texts else {}
    versions |= {"backend": texts["backend"]} if "backend" in texts else {}
    generation = f"Keras {version.partition('.')[0]}" if version else "Keras"
    if whole:
        return Format(f"{generation} model (HDF5)", versions, [path])
    with contextlib.suppress(Mistake):
        architecture = architecture_beside(path)
        if kept and architecture is not None:
            return _in_two_files(architecture, path)
    return Format(f"{generation} weights alone (HDF5)" if kept else "HDF5 file", versions, [path], weights=kept)


def _in_two_files(architecture: pathlib.Path, weights: pathlib.Path) -> Format:
    version = read_architecture(architecture).get("keras_version")
    versions = {"keras": str(version)} if version else {}
    return Format(
        f"Keras layers (JSON) and weights (HDF5): {architecture.name}, {weights.name}",
        versions,
        [architecture, weights],
    )


def _text(given: Any) -> str:
    return given.decode("utf-8", "replace") if isinstance(given, bytes) else str(given)


def _file(path: pathlib.Path) -> Format:
    content = path.read_bytes()
    other = other_format(content)
    if other is not None:
        return Format(
            other.partition(",")[0].partition(":")[0].removeprefix("is a").removeprefix("n").strip(), {}, [path]
        )
    if files.impostor(path) is None:
        graph_def = _graph_in(content)
        if graph_def is not None:
            producer = graph_def.versions.producer
            return Format("frozen graph", {"producer": str(producer)} if producer else {}, [path])
        if is_saved_model(content):
            return Format("SavedModel under another name", {}, [path])
        if path.suffix in (".pb", ".pbtxt") and b"node" in content[:10000]:
            return Format("graph in text", {}, [path])
    return Format(f"unknown: {files.kind(path)}", {}, [path])


def _graph_in(content: bytes) -> tf.GraphDef | None:
    try:
        graph_def = tf.GraphDef.FromString(content)
    except message.DecodeError:
        return None
    return graph_def if graph_def.node and graph_def.node[0].op else None
