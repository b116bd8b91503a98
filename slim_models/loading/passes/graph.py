"""GraphDefs as data: what the passes over graphs from files have in common.

A pass takes a GraphDef and returns another; the one it was given stays as it was. A GraphDef may hold
half a gigabyte of constants, so a pass copies every node once.
"""

from __future__ import annotations

import collections
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow.compat.v1 as tf

from slim_models.backward import reached
from slim_models.mistakes import BadValue

Say = Callable[[str], object]  # what is told, in lines, what was found or guessed in a graph

PLACEHOLDERS = ("Placeholder", "PlaceholderV2", "PlaceholderWithDefault")
VARIABLES = ("VariableV2", "Variable", "VarHandleOp", "AutoReloadVariable")
SMALL = 256  # elements: shapes, axes and paddings, whose values shape inference reads, have fewer


def tensor_name(reference: str) -> str:
    """What a node reads, in one spelling: `x` and `x:0` are `x:0`; `^x`, a control input, stays."""
    return reference if ":" in reference or reference.startswith("^") else f"{reference}:0"


def node_name(reference: str) -> str:
    """The node that makes a tensor or that a control input waits for: of `x:1` and `^x` it is `x`."""
    return reference.removeprefix("^").rpartition(":")[0] if ":" in reference else reference.removeprefix("^")


def data_inputs(node: tf.NodeDef) -> list[str]:
    """The tensors that a node reads, in order, without its control inputs; names as of `tensor_name`."""
    return [tensor_name(reference) for reference in node.input if not reference.startswith("^")]


def topological(graph_def: tf.GraphDef) -> list[tf.NodeDef]:
    """The nodes, each after those it reads; in a loop, what comes back from its end counts as not read.

    Raises:
        ValueError: nodes read each other without a loop's NextIteration between them.
    """
    nodes = {node.name: node for node in graph_def.node}
    readers = collections.defaultdict(list)
    missing = {}
    for node in graph_def.node:
        read = {node_name(reference) for reference in node.input}
        read = {name for name in read if name in nodes and nodes[name].op != "NextIteration"}
        missing[node.name] = len(read)
        for name in read:
            readers[name].append(node)
    ready = collections.deque(node for node in graph_def.node if not missing[node.name])
    ordered = []
    while ready:
        ordered.append(ready.popleft())
        for reader in readers[ordered[-1].name]:
            missing[reader.name] -= 1
            if not missing[reader.name]:
                ready.append(reader)
    if len(ordered) < len(nodes):
        raise BadValue(f"the graph's nodes read each other in a circle: {sorted(n for n in nodes if missing[n])[:3]}")
    return ordered


def computed_from(nodes: Iterable[tf.NodeDef], tensors: Iterable[str], but: Sequence[str] = ()) -> list[tf.NodeDef]:
    """Those of `nodes`, in topological order, that are computed from `tensors`; `but`: operations to stop at."""
    starts, passed, found = set(tensors), set(), []
    for node in nodes:
        if node.op not in but and any(read in starts or node_name(read) in passed for read in data_inputs(node)):
            passed.add(node.name)
            found.append(node)
    return found


def constants(graph_def: tf.GraphDef) -> dict[str, np.ndarray]:
    """Tensor name -> value of the small constants: shapes, axes, paddings."""
    small = (node for node in graph_def.node if node.op == "Const" and size_of(node) <= SMALL)
    return {f"{node.name}:0": tf.make_ndarray(node.attr["value"].tensor) for node in small}


def size_of(constant: tf.NodeDef) -> int:
    """Number of elements of a Const."""
    return int(np.prod([dim.size for dim in constant.attr["value"].tensor.tensor_shape.dim], dtype=np.int64))


def without_value(constant: tf.NodeDef) -> tf.NodeDef:
    """An operation of the same name, type and shape as a Const, which has no value and is never run.

    As a placeholder it would look like an input.
    """
    result = tf.NodeDef(name=constant.name, op="ImmutableConst", input=constant.input)
    result.attr["dtype"].CopyFrom(constant.attr["dtype"])
    result.attr["shape"].shape.CopyFrom(constant.attr["value"].tensor.tensor_shape)
    result.attr["memory_region_name"].s = b""
    return result


def imported(
    graph_def: tf.GraphDef, inputs: Mapping[str, tf.Tensor] | None = None, wanted: Sequence[str] = (), name: str = ""
) -> list[tf.Tensor]:
    """Imports a graph into the current one.

    Args:
        graph_def: the graph.
        inputs: tensor name -> what takes its place.
        wanted: names of the tensors to return.
        name: of the scope that the operations get.

    Raises:
        ValueError: TensorFlow has no such operation, or the graph does not fit together; its reason, in one line.
    """
    try:
        return tf.import_graph_def(graph_def, input_map=inputs, return_elements=list(wanted), name=name)
    except (ValueError, KeyError, tf.errors.OpError) as error:
        raise BadValue(f"TensorFlow cannot import the graph: {str(error).splitlines()[0]}") from error


class Rewriting:
    """A GraphDef in the making: nodes of another, and new ones under names that are free there.

    Attributes:
        result: the new GraphDef, with the library and the versions of the other.
    """

    def __init__(self, graph_def: tf.GraphDef) -> None:
        self.result = tf.GraphDef(versions=graph_def.versions, library=graph_def.library)
        self._taken = {node.name for node in graph_def.node}

    def copy(self, node: tf.NodeDef) -> tf.NodeDef:
        """Adds a copy of a node and returns it, to be changed; it no longer says which shapes it once had."""
        copy = self.result.node.add()
        copy.CopyFrom(node)
        copy.attr.pop("_output_shapes", None)
        return copy

    def add(self, op: str, name: str, inputs: Iterable[str] = (), **attributes: tf.AttrValue) -> str:
        """Adds a node under `name`, or that and a number if the name is taken; returns its first tensor."""
        name = self.free_name(name)
        self.result.node.add(name=name, op=op, input=inputs, attr=attributes)
        return f"{name}:0"

    def constant(self, name: str, value: np.ndarray) -> str:
        """Adds a constant; returns its tensor."""
        tensor = tf.AttrValue(tensor=tf.make_tensor_proto(value))
        return self.add("Const", name, value=tensor, dtype=type_of(value.dtype))

    def free_name(self, name: str) -> str:
        """The name, or the first of `name_1`, `name_2`, ... that no node has; from now on it is taken."""
        free, number = name, 0
        while free in self._taken:
            number += 1
            free = f"{name}_{number}"
        self._taken.add(free)
        return free


def type_of(dtype: tf.DType | np.dtype | type) -> tf.AttrValue:
    """A node's attribute that names a type."""
    return tf.AttrValue(type=tf.as_dtype(dtype).as_datatype_enum)


def upstream(
    nodes: Mapping[str, tf.NodeDef],
    inputs: Iterable[str],
    outputs: Iterable[str],
    dead: Collection[str] = (),
    waits: bool = True,
) -> list[tf.NodeDef]:
    """The nodes that `outputs` depend on, searched back as far as `inputs`.

    Args:
        nodes: all nodes of the graph by name.
        inputs: names of nodes or tensors that are fed; they are not in the result.
        outputs: names of nodes or tensors.
        dead: names of nodes that are not searched, as they do not run (`dead_nodes`).
        waits: whether what a node only waits for, its control inputs, counts.
    """
    stops = {node_name(name) for name in inputs} | set(dead)

    def existing(words: Iterable[str]) -> list[str]:
        names = [node_name(word) for word in words if waits or not word.startswith("^")]
        return [name for name in names if name in nodes and name not in stops]

    return [nodes[name] for name in reached(existing(outputs), lambda name: existing(nodes[name].input))]


def dead_nodes(nodes: Mapping[str, tf.NodeDef]) -> set[str]:
    """The nodes that do not run: those in the branch of a `tf.cond` (Switch, Merge) which a constant rules out."""
    readers: dict[str, list[str]] = {}
    for node in nodes.values():
        for name in node.input:
            readers.setdefault(name.removesuffix(":0"), []).append(node.name)
    waiting = []
    for node in nodes.values():
        if node.op == "Switch" and (predicate := constant_of(nodes, node.input[1])) is not None:
            waiting.extend(readers.get(node.name if predicate else f"{node.name}:1", []))
    dead: set[str] = set()
    while waiting:
        node = nodes[waiting.pop()]
        alive = [name for name in node.input if node_name(name) not in dead]
        # A Merge waits for one of its inputs, whatever else for all.
        if node.name not in dead and not (node.op == "Merge" and alive):
            dead.add(node.name)
            for name in (node.name, f"^{node.name}", f"{node.name}:1"):
                waiting.extend(readers.get(name, []))
    return dead


def constant_of(nodes: Mapping[str, tf.NodeDef], name: str) -> Any:
    """The number that a tensor always has if nobody feeds it; None if there is no such number."""
    node = nodes.get(node_name(name))
    if node is None:
        return None
    if node.op == "Const":
        tensor = node.attr["value"].tensor
        return None if tensor.tensor_shape.dim else tf.make_ndarray(tensor).item()
    if node.op not in ("Identity", "PlaceholderWithDefault", "Cast", "LogicalNot", "Sub"):
        return None
    values = [constant_of(nodes, read) for read in node.input if not read.startswith("^")]
    if None in values:
        return None
    if node.op == "Sub":
        return values[0] - values[1]
    return not values[0] if node.op == "LogicalNot" else values[0]


def skeleton(graph_def: tf.GraphDef) -> tf.GraphDef:
    """The same graph, names, types and shapes, but constants that are not small have no values."""
    rewriting = Rewriting(graph_def)
    for node in graph_def.node:
        heavy = node.op == "Const" and size_of(node) > SMALL
        rewriting.copy(without_value(node) if heavy else node)
    return rewriting.result


def inferred(graph_def: tf.GraphDef, images: str | None = None, shape: Sequence[int | None] | None = None) -> tf.Graph:
    """A graph to read shapes and types from, by the names of `graph_def`; it holds no large constant.

    Args:
        graph_def: the graph, or its skeleton.
        images: a float32 tensor that is replaced by another of shape `shape`; None replaces nothing.
        shape: that shape; None is unknown.

    Raises:
        ValueError: the graph cannot be imported, with such images or at all.
    """
    small = skeleton(graph_def)
    with tf.Graph().as_default() as graph:
        fed = Rewriting(small).free_name("fed")
        replaced = {images: tf.placeholder(tf.float32, shape, name=fed)} if images else {}
        imported(small, replaced)
    return graph
