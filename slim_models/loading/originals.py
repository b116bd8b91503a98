"""Somebody's network as it was found: a graph, and where its variables have their values."""

from __future__ import annotations

import dataclasses
import functools
import itertools
import math
import pathlib
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import tensorflow.compat.v1 as tf
from google.protobuf import message, text_format
from tensorflow.core.framework import types_pb2
from tensorflow.python.framework import op_def_registry

from slim_models import files
from slim_models.loading.confined import check_restoring, confined
from slim_models.loading.passes import VARIABLES, forget_shapes, imported
from slim_models.loading.refusals import is_saved_model, other_format
from slim_models.loading.restoring import saved_in
from slim_models.loading.signatures import Signature, Signatures, default, tensors_of
from slim_models.mistakes import BadValue, MissingFile
from slim_models.network import Values
from slim_models.running import told
from slim_models.weights import FromCheckpoint, Restored, check_claim

_TYPES = {*types_pb2.DataType.values()} - {types_pb2.DT_INVALID}
_COMPLEX = (types_pb2.DT_COMPLEX64, types_pb2.DT_COMPLEX128)  # of which a number is two


@dataclasses.dataclass(frozen=True)
class Original:
    """A network that is not ours.

    Attributes:
        name: what to call it.
        graph_def: its operations.
        graph: has its variables, and is where the copy that explains goes; None if all values are constants.
        values: where its numbers come from.
        images: names that it gives its inputs itself, in a signature; may be empty.
        logits: names that it gives its outputs itself.
        signatures: what it calls them, of all ways to run it; `images` and `logits` are those of the usual one.
        trusted: whether any operation of it may be run; of a file only if its user says so.
    """

    name: str
    graph_def: tf.GraphDef
    graph: tf.Graph | None = None
    values: Values = dataclasses.field(default_factory=Restored)
    images: Sequence[str] = ()
    logits: Sequence[str] = ()
    signatures: Signatures = dataclasses.field(default_factory=dict)
    trusted: bool = True


def read_frozen(path: pathlib.Path, trusted: bool = False) -> Original:
    """A frozen graph, `.pb`, binary or text; `trusted`: it may hold any operation.

    Raises:
        ValueError: it is no graph, has variables and so is not frozen, or has constants that claim too much.
    """
    graph_def = read_message(path, tf.GraphDef(), "a frozen graph")
    if not graph_def.node:
        raise BadValue(f"{path} is not a frozen graph: it has no operations")
    variables = [node.name for node in graph_def.node if node.op in VARIABLES]
    if variables:
        raise BadValue(
            f"{path} is not frozen: {len(variables)} variables ({variables[0]}, ...) have no values in it; "
            "give the checkpoint with its .meta, or a SavedModel, or freeze it"
        )
    check_types(graph_def, str(path))
    check_constants(_nodes_of(graph_def), str(path))
    return Original(path.stem, graph_def if trusted else confined(graph_def), trusted=trusted)


def _nodes_of(graph_def: tf.GraphDef) -> Iterator[tf.NodeDef]:
    """Those of its functions too."""
    return itertools.chain(graph_def.node, *(function.node_def for function in graph_def.library.function))


def check_types(graph_def: tf.GraphDef, name: str) -> None:
    """Whether every type is one, that of a constant the type of its numbers, and no tensor has sides below 0.

    TensorFlow's optimiser and its inference of shapes, which trust what they are given, end the process at others.

    Raises:
        ValueError: it is not so.
    """
    for node in _nodes_of(graph_def):
        for attribute in _of_types(node.op):
            value = node.attr.get(attribute.name, attribute.default_value)
            types = value.list.type if attribute.type == "list(type)" else [value.type]
            if not value.placeholder and any(number not in _TYPES for number in types):
                raise BadValue(f"{name} is damaged: {node.name} has a {attribute.name} that is no type")
        for value in node.attr.values():
            tensors = [value.tensor] if value.HasField("tensor") else value.list.tensor
            for shape in (tensor.tensor_shape for tensor in tensors):
                if shape.unknown_rank or any(side.size < 0 for side in shape.dim):
                    raise BadValue(f"{name} is damaged: {node.name} has a tensor of no shape")
        if node.op == "Const" and node.attr["dtype"].type != node.attr["value"].tensor.dtype:
            raise BadValue(f"{name} is damaged: its constant {node.name!r} has numbers of another type")


@functools.cache
def _of_types(kind: str) -> Sequence[Any]:
    """The attributes of an operation that are types; none of one that TensorFlow does not know."""
    definition = op_def_registry.get(kind)
    attributes = () if definition is None else definition.attr
    return [attribute for attribute in attributes if attribute.type in ("type", "list(type)")]


def check_imports(graph_def: tf.GraphDef) -> None:
    """Whether TensorFlow takes a graph.

    Raises:
        ValueError: it does not, with its reason.
    """
    with tf.Graph().as_default():
        imported(graph_def)


def check_constants(nodes: Iterable[tf.NodeDef], name: str) -> None:
    """Whether constants are as large as they claim: one of a few bytes can be a number repeated without end.

    Raises:
        ValueError: they claim too much, or one has numbers of no type, or more or fewer than its shape, which
            TensorFlow finds out when it is run.
    """
    constants = [(node.name, node.attr["value"].tensor) for node in nodes if node.op == "Const"]
    claimed = 0
    for constant, tensor in constants:
        try:
            size = tf.as_dtype(tensor.dtype).size
        except TypeError as error:
            raise BadValue(f"{name} is damaged: its constant {constant!r} has numbers of no type") from error
        count = math.prod(max(dimension.size, 0) for dimension in tensor.tensor_shape.dim)
        if not _has(tensor, count, size):
            raise BadValue(f"{name} is damaged: its constant {constant!r} has not the {count} numbers of its shape")
        claimed += count * size
    stored = sum(tensor.ByteSize() for _, tensor in constants)
    check_claim(claimed, stored, f"what {name} has as constants")


def _has(tensor: Any, count: int, size: int) -> bool:
    """Whether a TensorProto has so many numbers of so many bytes: whole, or some of which the last is repeated."""
    if tensor.tensor_content:
        return len(tensor.tensor_content) == count * size
    numbers = [len(value) for field, value in tensor.ListFields() if field.name.endswith("_val")]
    halves = 2 if tensor.dtype in _COMPLEX else 1
    return sum(numbers) <= count * halves


def read_message(path: pathlib.Path, into: message.Message, name: str) -> message.Message:
    """Parses a file, binary or text.

    Raises:
        ValueError: the file is none of the kind.
    """
    content = path.read_bytes()
    other = other_format(content)
    if other is not None:
        raise BadValue(f"{path} {other}")
    reason = files.impostor(path)
    if reason is None:
        try:
            into.ParseFromString(content)
            return into
        except message.DecodeError:
            into.Clear()
        try:
            text_format.Parse(content.decode("utf-8"), into)
            return into
        except (text_format.ParseError, ValueError) as error:  # the latter of text that is none, and of numbers
            reason = f"{files.kind(path)} ({str(error).splitlines()[0][:80]})"
            if is_saved_model(content):
                reason = "a SavedModel: call it saved_model.pb, in a folder with its variables, and give the folder"
    raise BadValue(f"{path} is not {name}; it is {reason}")


def read_meta(path: pathlib.Path, trusted: bool = False) -> Original:
    """A checkpoint with its graph, `model.ckpt.meta` beside `model.ckpt.index`; `trusted` as of `read_frozen`.

    Raises:
        FileNotFoundError: the checkpoint or its `.meta` is missing.
        ValueError: the `.meta` is not what its name says.
    """
    prefix = path.with_name(path.name.removesuffix(".meta"))
    meta = path.with_name(f"{prefix.name}.meta")
    if not meta.is_file():
        raise MissingFile(
            f"no graph at {meta}: a checkpoint without it is weights alone; give the .meta that tf.train.Saver wrote "
            "beside it, a SavedModel or a frozen graph"
        )
    meta_graph = read_message(meta, tf.MetaGraphDef(), "a graph with its checkpoint (.meta)")
    return of_meta_graph(prefix.name.removesuffix(".ckpt"), meta_graph, prefix, trusted=trusted)


def of_meta_graph(
    name: str,
    meta_graph: tf.MetaGraphDef,
    prefix: pathlib.Path,
    signatures: Signatures | None = None,
    trusted: bool = False,
) -> Original:
    """A graph whose variables have their values in the checkpoint with that prefix."""
    check_types(meta_graph.graph_def, name)
    saved = saved_in(meta_graph)
    if not trusted:
        check_restoring(meta_graph.graph_def, meta_graph.saver_def.restore_op_name, name)
        meta_graph.graph_def.CopyFrom(confined(meta_graph.graph_def))
    # TensorFlow would make a saver where there is none, and operations for it.
    meta_graph.saver_def.CopyFrom(
        tf.train.SaverDef(filename_tensor_name="-", save_tensor_name="-", restore_op_name="-")
    )
    for node in meta_graph.graph_def.node:
        forget_shapes(node)
    graph = tf.Graph()
    # Beside the graph it makes variables and loops of what else the file says: of damage it raises anything.
    with graph.as_default(), told(f"TensorFlow cannot import the graph of {name}", Exception):
        tf.train.import_meta_graph(meta_graph, clear_devices=True)
    usual, signatures = default(signatures or {}), signatures or {}
    images, logits = tensors_of(usual, "inputs"), tensors_of(usual, "outputs")
    return Original(
        name, meta_graph.graph_def, graph, FromCheckpoint(prefix, saved), images, logits, signatures, trusted
    )


def read_saved_model(folder: pathlib.Path, trusted: bool = False) -> Original:
    """A SavedModel, of TensorFlow 1 or 2; `trusted` as of `read_frozen`.

    Raises:
        ValueError: it is damaged, or holds no inference graph.
    """
    binary = folder / "saved_model.pb"
    path = binary if binary.is_file() else folder / "saved_model.pbtxt"
    model = read_message(path, _saved_model(), "a SavedModel")
    graphs = [graph for graph in model.meta_graphs if "train" not in graph.meta_info_def.tags]
    if not graphs:
        raise BadValue(f"{path} holds no graph for inference, only {len(model.meta_graphs)} for training")
    meta_graph = next((graph for graph in graphs if "serve" in graph.meta_info_def.tags), graphs[0])
    signatures = {
        name: Signature(
            {key: info.name for key, info in found.inputs.items() if info.name},
            {key: info.name for key, info in found.outputs.items() if info.name},
        )
        for name, found in meta_graph.signature_def.items()
        if found.inputs and found.outputs
    }
    prefix = folder / "variables" / "variables"
    return of_meta_graph(folder.resolve().name, meta_graph, prefix, signatures, trusted)


def _saved_model() -> message.Message:
    from tensorflow.core.protobuf import saved_model_pb2

    return saved_model_pb2.SavedModel()
