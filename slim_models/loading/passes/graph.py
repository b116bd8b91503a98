"""Graphs as data: what the passes over graphs from files have in common.

A pass takes a `Graph` and returns another; the one it was given stays as it was. A graph may hold half a gigabyte of
constants, so a pass copies every node once.
"""

from __future__ import annotations

import collections
import dataclasses
import functools
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

import numpy as np
import tensorflow.compat.v1 as tf

from slim_models.backward import VARIABLES as VARIABLES, reached
from slim_models.mistakes import BadValue
from slim_models.running import told

Say = Callable[[str], object]  # what is told, in lines, what was found or guessed in a graph
_Fed = tuple[str, tuple[int | None, ...]]  # which tensor is replaced, and the shape of what takes its place

PLACEHOLDERS = ("Placeholder", "PlaceholderV2", "PlaceholderWithDefault")
# Where a graph that was never frozen has its pictures from.
PIPELINES = (
    *("IteratorGetNext", "IteratorGetNextSync", "OneShotIterator", "QueueDequeue", "QueueDequeueMany"),
    *("QueueDequeueUpTo", "QueueDequeueV2", "QueueDequeueManyV2", "QueueDequeueUpToV2", "Unstage"),
)
OF_PYTHON = ("PyFunc", "PyFuncStateless", "EagerPyFunc")  # whose outputs have any shape
OF_SHAPE = ("Shape", "ShapeN", "Size", "Rank")  # what comes out of these says nothing of pixels, only of sizes
SMALL = 256  # elements: shapes, axes and paddings, whose values shape inference reads, have fewer


def silent(line: str) -> None:
    """For who does not want to be told."""


def tensor_name(reference: str) -> str:
    """What a node reads, in one spelling: `x` and `x:0` are `x:0`; `^x`, a control input, stays."""
    return reference if ":" in reference or reference.startswith("^") else f"{reference}:0"


def node_name(reference: str) -> str:
    """The node that makes a tensor or that a control input waits for: of `x:1` and `^x` it is `x`."""
    return reference.removeprefix("^").rpartition(":")[0] if ":" in reference else reference.removeprefix("^")


def data_inputs(node: tf.NodeDef) -> list[str]:
    """The tensors that a node reads, in order, without its control inputs; names as of `tensor_name`."""
    return [tensor_name(reference) for reference in node.input if not reference.startswith("^")]


def forget_shapes(node: tf.NodeDef) -> None:
    """Takes from a node what it says of its outputs' shapes, unless nothing else does.

    They are what an older TensorFlow inferred, which may not be what this one does: then it would not import the graph.
    """
    if node.op not in (*PIPELINES, *OF_PYTHON):
        node.attr.pop("_output_shapes", None)


def size_of(constant: tf.NodeDef) -> int:
    """Number of elements of a Const."""
    return int(np.prod([dim.size for dim in constant.attr["value"].tensor.tensor_shape.dim], dtype=np.int64))


def array_of(constant: tf.NodeDef) -> np.ndarray:
    """The value of a Const.

    Raises:
        ValueError: it has none: what a damaged file holds need not be one.
    """
    try:
        return tf.make_ndarray(constant.attr["value"].tensor)
    except (TypeError, ValueError) as error:
        raise BadValue(f"the constant {constant.name} has no value that could be: {error}") from error


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
    graph_def: tf.GraphDef,
    inputs: Mapping[str, tf.Tensor] | None = None,
    wanted: Sequence[str] = (),
    name: str = "",
    loops: Sequence[bytes] = (),
) -> list[tf.Tensor]:
    """Imports a graph into the current one.

    Args:
        graph_def: the graph.
        inputs: tensor name -> what takes its place.
        wanted: names of the tensors to return.
        name: of the scope that the operations get.
        loops: what makes loops of some of them (`while_contexts`).

    Raises:
        ValueError: TensorFlow has no such operation, or the graph does not fit together; its reason, in one line.
    """
    graph = tf.get_default_graph()
    # TensorFlow's own Python stumbles over attributes that are not there, or of another type.
    with told("TensorFlow cannot import the graph", ValueError, TypeError, LookupError, AttributeError):
        if not loops:
            return tf.import_graph_def(graph_def, input_map=inputs, return_elements=list(wanted), name=name)
        meta_graph = tf.MetaGraphDef(graph_def=graph_def)
        meta_graph.collection_def["while_context"].bytes_list.value.extend(loops)
        tf.train.import_meta_graph(meta_graph, import_scope=name, input_map=inputs)
        scopes = [scope for scope in (graph.get_name_scope(), name) if scope]
        return [graph.get_tensor_by_name("/".join([*scopes, tensor])) for tensor in wanted]


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
        dead: names of nodes that are not searched, as they do not run (`training.dead_nodes`).
        waits: whether what a node only waits for, its control inputs, counts.
    """
    stops = {node_name(name) for name in inputs} | set(dead)

    def existing(words: Iterable[str]) -> list[str]:
        names = [node_name(word) for word in words if waits or not word.startswith("^")]
        return [name for name in names if name in nodes and name not in stops]

    return [nodes[name] for name in reached(existing(outputs), lambda name: existing(nodes[name].input))]


def _renamed(word: str, names: Mapping[str, str]) -> str:
    """What a node reads, where nodes have other names, or tensors take their place."""
    new, index = names[node_name(word)], word.rpartition(":")[2] if ":" in word else "0"
    return new if index == "0" else f"{node_name(new)}:{index}"


@dataclasses.dataclass(frozen=True, eq=False)
class Graph:
    """A GraphDef, and what passes ask of it again and again, each answer made once.

    A pass returns another graph, or the same object where it changes nothing, so that the answers stay. Nobody
    changes `graph_def`.

    Attributes:
        graph_def: the operations.
        heavy: constants by name, in whose place `graph_def` has operations that are never run.
    """

    graph_def: tf.GraphDef
    heavy: Mapping[str, tf.NodeDef] = dataclasses.field(default_factory=dict)
    _inferences: dict[_Fed | None, tf.Graph] = dataclasses.field(default_factory=dict, init=False, repr=False)

    def alike(self, graph_def: tf.GraphDef, heavy: Mapping[str, tf.NodeDef] | None = None) -> Graph:
        """Another graph, all of whose tensors have the names, types and shapes that they have in this one."""
        other = Graph(graph_def, self.heavy if heavy is None else heavy)
        other._inferences.update(self._inferences)
        return other

    @functools.cached_property
    def nodes(self) -> dict[str, tf.NodeDef]:
        """The nodes by name."""
        return {node.name: node for node in self.graph_def.node}

    @functools.cached_property
    def topological(self) -> list[tf.NodeDef]:
        """The nodes, each after those it reads; in a loop, what comes back from its end counts as not read.

        Raises:
            ValueError: nodes read each other without a loop's NextIteration between them.
        """
        readers = collections.defaultdict(list)
        missing = {}
        for node in self.graph_def.node:
            read = {node_name(reference) for reference in node.input}
            read = {name for name in read if name in self.nodes and self.nodes[name].op != "NextIteration"}
            missing[node.name] = len(read)
            for name in read:
                readers[name].append(node)
        ready = collections.deque(node for node in self.graph_def.node if not missing[node.name])
        ordered = []
        while ready:
            ordered.append(ready.popleft())
            for reader in readers[ordered[-1].name]:
                missing[reader.name] -= 1
                if not missing[reader.name]:
                    ready.append(reader)
        if len(ordered) < len(self.nodes):
            circle = sorted(name for name in self.nodes if missing[name])[:3]
            raise BadValue(f"the graph's nodes read each other in a circle: {circle}")
        return ordered

    def behind(self, word: str, passed: Collection[str]) -> tf.NodeDef | None:
        """The node that made a tensor, or the first before it that is none of `passed`, each of which has one input."""
        node = self.nodes.get(node_name(word))
        while node is not None and node.op in passed:
            node = self.nodes.get(node_name(node.input[0]))
        return node

    def computed_from(self, tensors: Iterable[str], but: Sequence[str] = ()) -> list[tf.NodeDef]:
        """The nodes, in topological order, that are computed from `tensors`; `but`: operations to stop at."""
        starts, passed, found = set(tensors), set(), []
        for node in self.topological:
            if node.op not in but and any(read in starts or node_name(read) in passed for read in data_inputs(node)):
                passed.add(node.name)
                found.append(node)
        return found

    @functools.cached_property
    def constants(self) -> dict[str, np.ndarray]:
        """Tensor name -> value of the small constants: shapes, axes, paddings."""
        small = (node for node in self.graph_def.node if node.op == "Const" and size_of(node) <= SMALL)
        return {f"{node.name}:0": array_of(node) for node in small}

    @functools.cached_property
    def skeleton(self) -> tf.GraphDef:
        """The same graph, names, types and shapes, but constants that are not small have no values."""
        rewriting = Rewriting(self)
        for node in self.graph_def.node:
            heavy = node.op == "Const" and size_of(node) > SMALL
            rewriting.copy(without_value(node) if heavy else node)
        return rewriting.result

    @property
    def inferred(self) -> tf.Graph:
        """The skeleton in TensorFlow, to read shapes and types from.

        Raises:
            ValueError: it cannot be imported.
        """
        if None not in self._inferences:
            with tf.Graph().as_default() as graph:
                imported(self.skeleton)
            self._inferences[None] = graph
        return self._inferences[None]

    def inferred_for(self, images: str, shape: Sequence[int | None]) -> tf.Graph:
        """The skeleton in TensorFlow, with another tensor in place of one.

        Args:
            images: name of the tensor that is replaced.
            shape: of the float32 tensor that takes its place.

        Raises:
            ValueError: it cannot be imported with such images.
        """
        own = self.inferred.get_tensor_by_name(images)
        if own.dtype == tf.float32 and own.shape.ndims is not None and own.shape.as_list() == list(shape):
            return self.inferred
        fed = (images, tuple(shape))
        if fed not in self._inferences:
            with tf.Graph().as_default() as graph:
                name = Rewriting(self).free_name("fed")
                imported(self.skeleton, {images: tf.placeholder(tf.float32, shape, name=name)})
            self._inferences[fed] = graph
        return self._inferences[fed]


class Rewriting:
    """A graph in the making: nodes of another, and new ones under names that are free there.

    Attributes:
        result: the new GraphDef, with the library and the versions of the other.
    """

    def __init__(self, graph: Graph) -> None:
        self.result = tf.GraphDef(versions=graph.graph_def.versions, library=graph.graph_def.library)
        self._taken = set(graph.nodes)
        self._heavy = graph.heavy
        self._has_loops = any(node.op in ("Enter", "RefEnter") for node in graph.graph_def.node)

    def finished(self) -> Graph:
        """The new graph."""
        return Graph(self.result, self._heavy)

    def copy(self, node: tf.NodeDef) -> tf.NodeDef:
        """Adds a copy of a node and returns it, to be changed; it no longer says which shapes it once had."""
        copy = self.result.node.add()
        copy.CopyFrom(node)
        forget_shapes(copy)
        return copy

    def add(self, op: str, name: str, inputs: Iterable[str] = (), **attributes: tf.AttrValue) -> str:
        """Adds a node under `name`, or that and a number if the name is taken; returns its first tensor."""
        name = self.free_name(name)
        self.result.node.add(name=name, op=op, input=inputs, attr=attributes)
        return f"{name}:0"

    def write(self, node: tf.NodeDef, function: Callable[..., tf.Tensor], inputs: Sequence[tf.Tensor]) -> None:
        """Writes operations in place of a node with one output; the last has its name, the others are in its scope.

        Args:
            node: of the other graph.
            function: makes of placeholders what the node makes of its inputs.
            inputs: what the node reads, in a graph that has been inferred.
        """
        with tf.Graph().as_default() as graph:
            given = [tf.placeholder(tensor.dtype.base_dtype, tensor.shape) for tensor in inputs]
            last = function(*given).op.name
        names = {placeholder.op.name: word for placeholder, word in zip(given, data_inputs(node))}
        written = [inner for inner in graph.as_graph_def().node if inner.name not in names]
        names |= {n.name: f"{self.free_name(f'{node.name}/{n.name}')}:0" for n in written if n.name != last}
        names[last] = f"{node.name}:0"
        waits = [word for word in node.input if word.startswith("^")]
        for inner in written:
            copy = self.copy(inner)
            copy.name = node_name(names[inner.name])
            copy.input[:] = [_renamed(word, names) for word in inner.input]
            # A constant is in the frame of a loop by what it waits for.
            alone = [f"^{node_name(data_inputs(node)[0])}"] if self._has_loops else []
            copy.input.extend(waits if copy.input else alone)

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
