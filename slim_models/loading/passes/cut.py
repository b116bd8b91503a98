"""The part of a graph between pictures and logits."""

from __future__ import annotations

import numpy as np
import tensorflow.compat.v1 as tf

from slim_models.loading.passes.graph import (
    SMALL,
    VARIABLES,
    Graph,
    Rewriting,
    node_name,
    size_of,
    tensor_name,
    type_of,
    upstream,
)
from slim_models.mistakes import BadValue

_CONTROL_FLOW = ("Switch", "Merge", "RefSwitch", "RefMerge", "Enter", "RefEnter")


def apart(graph: Graph, tensor: str) -> tuple[Graph, str]:
    """Gives one of several outputs of an operation, pictures beside their labels, an operation of its own.

    Args:
        graph: unchanged.
        tensor: the output's name.

    Returns:
        a graph in which whatever read the output reads a copy of it, and the copy's name; what was given, if the
        operation has one output.
    """
    found = graph.inferred.get_tensor_by_name(tensor)
    if len(found.op.outputs) == 1:
        return graph, tensor
    rewriting = Rewriting(graph)
    copies = [rewriting.copy(node) for node in graph.graph_def.node]
    name = f"{found.op.name}/output_{found.value_index}"
    copied = rewriting.add("Identity", name, [tensor], T=type_of(found.dtype.base_dtype))
    for node in copies:
        node.input[:] = [copied if tensor_name(word) == tensor else word for word in node.input]
    return rewriting.finished(), copied


def mean_of(graph: Graph, tensor: str) -> tuple[Graph, str]:
    """Adds the mean of `[N, h, w, C]` over height and width; returns another graph, and the mean's name."""
    rewriting = Rewriting(graph)
    for node in graph.graph_def.node:
        rewriting.copy(node)
    name = f"{node_name(tensor)}/mean"
    axes = rewriting.constant(f"{name}/axes", np.array([1, 2], np.int32))
    dtype = graph.inferred.get_tensor_by_name(tensor).dtype.base_dtype
    mean = rewriting.add("Mean", name, [tensor, axes], T=type_of(dtype), Tidx=type_of(tf.int32))
    return rewriting.finished(), mean


def cut(graph: Graph, images: str, logits: str) -> Graph:
    """The operations that the logits depend on, from the images on, without devices.

    Args:
        graph: a graph without functions.
        images: name of the tensor of the pictures; a placeholder takes the place of its operation.
        logits: name of the tensor.

    Returns:
        The part. It shares no operation with the rest, which says that it has side effects: a training step,
        a summary, an assertion.

    Raises:
        ValueError: the images are one of several outputs of an operation.
    """
    pictures = graph.inferred.get_tensor_by_name(images)
    if pictures.value_index:
        raise BadValue(f"{images} is one of several outputs of an operation; give a tensor computed from it as images")
    # An operation may wait for others that it does not read; only loops and conditions need that, to know of what
    # reads nothing that it is theirs.
    read = upstream(graph.nodes, [images], [logits], waits=False)
    waits = any(node.op in _CONTROL_FLOW for node in read)  # a training's own conditions are none of theirs
    nodes = {name: tf.NodeDef(name=name, input=_kept(node, waits)) for name, node in graph.nodes.items()}
    wanted = {node.name for node in upstream(nodes, [images], [logits])}
    part = tf.GraphDef(versions=graph.graph_def.versions)
    part.node.append(_placeholder(pictures))
    for node in graph.graph_def.node:
        if node.name in wanted:
            part.node.append(node)
            _clean(part.node[-1], waits)
    heavy = {name: constant for name, constant in graph.heavy.items() if name in wanted}
    # Where a placeholder takes a placeholder's place, what is left has the shapes that it had.
    return graph.alike(part, heavy) if pictures.op.type == "Placeholder" else Graph(part, heavy)


def _placeholder(images: tf.Tensor) -> tf.NodeDef:
    node = tf.NodeDef(name=images.op.name, op="Placeholder")
    node.attr["dtype"].type = images.dtype.base_dtype.as_datatype_enum
    node.attr["shape"].shape.CopyFrom(images.shape.as_proto())
    return node


def _clean(node: tf.NodeDef, waits: bool) -> None:
    node.device = ""
    node.attr.pop("_class", None)  # the operations that it is to be beside may not be there
    node.attr.pop("_output_shapes", None)
    node.input[:] = _kept(node, waits)


def _kept(node: tf.NodeDef, waits: bool) -> list[str]:
    """What a node of the part reads and waits for."""
    read = [word for word in node.input if not word.startswith("^")]
    return read if read or not waits else list(node.input)


def shared(part: Graph, graph: tf.Graph | None) -> tuple[tf.GraphDef, dict[str, tf.Tensor]]:
    """Takes out of a part what it has in common with the graph that it came from: variables and weights.

    Args:
        part: unchanged; its heavy constants are taken out in any case.
        graph: the original; None if there is nothing to share.

    Returns:
        the rest, and the tensors of the graph by the names that the rest reads them under.
    """
    nodes = part.graph_def.node
    if graph is None:
        kept = set(part.heavy)
    else:  # passes have added constants of their own
        theirs = {operation.name for operation in graph.get_operations()}
        kept = {node.name for node in nodes if node.name in theirs and (node.name in part.heavy or _has_values(node))}
        nodes = [part.heavy.get(node.name, node) if node.name not in kept else node for node in nodes]
    rest = tf.GraphDef(versions=part.graph_def.versions)
    for node in nodes:
        if node.name not in kept:
            copy = rest.node.add()
            copy.CopyFrom(node)
            # What is there already need not be waited for; and nothing here has its name.
            copy.input[:] = [word for word in node.input if not (word.startswith("^") and node_name(word) in kept)]
    return rest, {} if graph is None else {f"{name}:0": graph.get_tensor_by_name(f"{name}:0") for name in kept}


def _has_values(node: tf.NodeDef) -> bool:
    return node.op in VARIABLES or (node.op == "Const" and size_of(node) > SMALL)
