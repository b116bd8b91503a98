"""Somebody's graph without the operations that could touch what is outside of it, from before it is imported.

What a graph only holds does no harm, and graphs of trainings hold readers, savers and writers. But shape inference and
graph optimisers run operations whose inputs are constant, a ReadFile among them. So in the place of each operation that
is not allowed stands one with its inputs and outputs that nobody can run; if the network needs it, the file is refused.
"""

from __future__ import annotations

import graphlib
from collections.abc import Collection, Iterable, Iterator, Sequence

import tensorflow.compat.v1 as tf
from tensorflow.core.framework.function_pb2 import FunctionDefLibrary as Library
from tensorflow.core.framework.op_def_pb2 import OpDef
from tensorflow.python.framework import op_def_registry

from slim_models.loading.operations import is_allowed, is_idle
from slim_models.loading.passes import Graph, upstream
from slim_models.mistakes import BadValue

# An operation of any inputs and outputs, which is never run: the function that it would call has no name.
_STAND_IN = "PyFunc"
_PRINT = "Print"  # passes on its first input; whoever looked for a fault in a training often left some in its graph
_REFUSED = "_refused"  # attribute of a stand-in: what it stands for, in words
_MOST = 2**22  # nodes of a function with all that it calls; the largest networks have some ten thousand
# What restores variables from the checkpoint that a saver names.
_RESTORING = frozenset(("RestoreV2", "Restore", "RestoreSlice", "ShardedFilename"))
_OUTSIDE = "which could touch what is outside of the network (files, the screen, code, other machines): it is not run"
_TRUST = "if you trust where the file comes from, give trusted=True (--trusted)"


def confined(graph_def: tf.GraphDef) -> tf.GraphDef:
    """A graph that can be imported without harm.

    Args:
        graph_def: as it was read from a file; unchanged.

    Returns:
        The same, all names included, with stand-ins for what is not allowed, and for calls of functions with such an
        operation in them, which are left out; each `Print` passes on what it is given, and prints nothing; `graph_def`
        itself if there is nothing of the kind. What TensorFlow does not know stays: it cannot be imported.

    Raises:
        ValueError: its functions call each other without end, or so often that no memory would hold them.
    """
    functions = _Functions(graph_def.library)
    functions.check_size()
    refused = {node.name: words for node in graph_def.node if (words := functions.refusal(node))}
    if not refused and not functions.refused and not any(_prints(graph_def)):
        return graph_def
    result = tf.GraphDef(versions=graph_def.versions)
    kept = (name for name in functions.by_name if name not in functions.refused)
    result.library.function.extend(functions.by_name[name] for name in kept)
    for node in graph_def.node:
        copy = result.node.add()
        if node.name in refused:
            _stand_in(copy, node, functions.definition(node.op), refused[node.name])
        else:
            copy.CopyFrom(node)
    for node in _prints(result):
        node.op = "Identity"
        waits = [name for name in node.input if name.startswith("^")]
        node.input[1:] = waits  # without what it would have printed
        for name in [name for name in node.attr if name != "T"]:
            del node.attr[name]
    return result


def _prints(graph_def: tf.GraphDef) -> Iterator[tf.NodeDef]:
    for nodes in (graph_def.node, *(function.node_def for function in graph_def.library.function)):
        yield from (node for node in nodes if node.op == _PRINT)


class _Functions:
    """The functions of a graph, and which of them cannot be called.

    Attributes:
        by_name: all of them.
        refused: name -> words for what in it, or in what it calls, is not allowed.
    """

    def __init__(self, library: Library, more: Collection[str] = ()) -> None:
        self.by_name = {function.signature.name: function for function in library.function}
        self._more = more  # types that are allowed too
        self.refused: dict[str, str] = {}
        changed = True
        while changed:  # functions may call each other in a circle
            changed = False
            for name, function in self.by_name.items():
                found = next((words for node in function.node_def if (words := self.refusal(node))), None)
                if found is not None and name not in self.refused:
                    self.refused[name] = found if " in the function " in found else f"{found} in the function {name}"
                    changed = True

    def check_size(self) -> None:
        """Whether all calls can be replaced by what is called: functions that call one twice each double it each time.

        Raises:
            ValueError: they cannot.
        """
        calls = {
            name: [
                called for node in function.node_def for called in (node.op, *_called(node)) if called in self.by_name
            ]
            for name, function in self.by_name.items()
        }
        sizes: dict[str, int] = {}
        try:
            for name in graphlib.TopologicalSorter(calls).static_order():
                sizes[name] = len(self.by_name[name].node_def) + sum(sizes[called] for called in calls[name])
        except graphlib.CycleError as error:
            raise BadValue(f"the graph's functions call each other in a circle: {', '.join(error.args[1])}") from error
        if max(sizes.values(), default=0) > _MOST:
            raise BadValue(
                f"the graph's functions call each other so often that they have {max(sizes.values()):,} nodes"
            )

    def refusal(self, node: tf.NodeDef) -> str | None:
        """The operation for which a node is not allowed, and its type, in words; None if it is, or is unknown."""
        if self.definition(node.op) is None:
            return None
        called = [name for name in (node.op, *_called(node)) if name in self.refused]
        if called:
            return self.refused[called[0]]
        ours = node.op in self.by_name or node.op in self._more or node.op == _PRINT
        known = ours or is_allowed(node.op) or is_idle(node.op)
        return None if known else f"{node.name} of the type {node.op}"

    def definition(self, kind: str) -> OpDef | None:
        """What a type of operation takes and gives; None if there is none of that name."""
        return self.by_name[kind].signature if kind in self.by_name else op_def_registry.get(kind)


def _called(node: tf.NodeDef) -> Iterator[str]:
    """The functions that a node names in its attributes."""
    for value in node.attr.values():
        yield value.func.name
        yield from (function.name for function in value.list.func)


def _stand_in(into: tf.NodeDef, node: tf.NodeDef, definition: OpDef, words: str) -> None:
    into.name, into.op = node.name, _STAND_IN
    into.input.extend(node.input)
    into.attr["token"].s = b""
    for key, arguments in (("Tin", definition.input_arg), ("Tout", definition.output_arg)):
        into.attr[key].list.type.extend(_types(node, definition, arguments))
    into.attr[_REFUSED].s = words.encode()


def _types(node: tf.NodeDef, definition: OpDef, arguments: Iterable[OpDef]) -> Iterator[int]:
    """The types of a node's inputs or outputs, each as often as it has some."""
    defaults = {attribute.name: attribute.default_value for attribute in definition.attr}

    def value(name: str) -> tf.AttrValue:
        return node.attr[name] if name in node.attr else defaults[name]

    for argument in arguments:
        if argument.type_list_attr:
            yield from value(argument.type_list_attr).list.type
            continue
        times = value(argument.number_attr).i if argument.number_attr else 1
        yield from [value(argument.type_attr).type if argument.type_attr else argument.type] * times


def kind_of(node: tf.NodeDef) -> str:
    """The type of an operation, also where another stands in its place."""
    words = node.attr[_REFUSED].s.decode() if _REFUSED in node.attr else ""
    return words.partition(" of the type ")[2].partition(" ")[0] or node.op


def is_runnable(nodes: Iterable[tf.NodeDef]) -> bool:
    """Whether all of them may be run."""
    return all(is_allowed(node.op) for node in nodes)


def check_harmless(graph: Graph, outputs: Sequence[str], name: str, images: Sequence[str] = ()) -> None:
    """Whether what a network computes, from its pictures on, waits for nothing that is not allowed.

    Args:
        graph: of `confined`, without functions.
        outputs: names of the tensors or operations that are asked of it.
        name: of the network.
        images: name of the tensor of the pictures; what comes before them is not run.

    Raises:
        ValueError: something of it has a stand-in.
    """
    for node in upstream(graph.nodes, images, outputs):
        if _REFUSED in node.attr:
            raise BadValue(f"{name} runs {node.attr[_REFUSED].s.decode()}, {_OUTSIDE}; {_TRUST}")


def check_runs(part: Graph, name: str) -> None:
    """Whether what is imported in the end, and run, is all allowed.

    Raises:
        ValueError: an operation is not.
    """
    for node in part.graph_def.node:
        if not is_allowed(node.op) and node.name not in part.heavy:
            raise BadValue(f"{name} waits for {node.name} of the type {node.op}, which is not run; {_TRUST}")


def check_restoring(graph_def: tf.GraphDef, restore: str, name: str) -> None:
    """Whether a graph's own way to restore its variables, which is not run, does that and nothing else.

    Args:
        graph_def: as it was read.
        restore: name of the operation.
        name: of the network.

    Raises:
        ValueError: something that is not allowed is run with it.
    """
    functions = _Functions(graph_def.library, _RESTORING)
    for node in upstream({node.name: node for node in graph_def.node}, [], [restore]):
        words = functions.refusal(node)
        if words is not None:
            raise BadValue(f"{name} runs {words} when its variables are restored, {_OUTSIDE}; {_TRUST}")
