"""Under which names a checkpoint has the values of a graph's variables: read off the operations that restore them.

None of these is run: the graph of a file chooses which they are, and what is run with them.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import tensorflow.compat.v1 as tf

from slim_models.loading.passes import VARIABLES, array_of, upstream
from slim_models.mistakes import BadValue
from slim_models.weights import Saved

_ASSIGNING = ("Assign", "AssignVariableOp")
_COPYING = ("Identity", "Reshape")
_RESTORING = ("RestoreV2", "Restore", "RestoreSlice")
_MOST = 2**20  # steps: more are functions that call each other without end
_Value = str | Saved | list[str] | None  # a variable's name, what is restored, texts, or anything else


def saved_in(meta_graph: tf.MetaGraphDef) -> dict[str, Saved]:
    """Where a checkpoint has the values of a graph's variables.

    Args:
        meta_graph: as it was read. One without a saver is restored by the variables' own names.

    Returns:
        Name of a variable's operation -> where its value is.
    """
    graph_def = meta_graph.graph_def
    restore = meta_graph.saver_def.restore_op_name
    if not restore:
        return {node.name: Saved(node.name) for node in graph_def.node if node.op in VARIABLES}
    nodes = {node.name: node for node in graph_def.node}
    functions = {function.signature.name: function for function in graph_def.library.function}
    body = _Body(nodes, functions, {}, itertools.count())
    found = dict(body.assigned(upstream(nodes, [], [restore])))
    return found | {first: found[name] for first, name in _stand_ins(nodes) if name in found}


class _Body:
    """The nodes of a graph, or of a function that it calls, as what they hand on of variables and of what is restored.

    Attributes:
        nodes: by name.
        functions: that may be called.
        arguments: name of an argument -> what it is.
        steps: that have been taken, in all bodies together.
    """

    def __init__(
        self,
        nodes: Mapping[str, tf.NodeDef],
        functions: Mapping[str, Any],
        arguments: Mapping[str, _Value],
        steps: Iterator[int],
    ) -> None:
        self.nodes, self.functions, self.arguments, self.steps = nodes, functions, arguments, steps

    def assigned(self, nodes: Sequence[tf.NodeDef]) -> Iterator[tuple[str, Saved]]:
        """The variables that some of the nodes assign to, each with what it is assigned.

        Raises:
            ValueError: they do not come to an end.
        """
        for node in nodes:
            read = [word for word in node.input if not word.startswith("^")]
            if node.op in _ASSIGNING and len(read) > 1:
                variable, value = self._value(read[0]), self._value(read[1])
                if isinstance(variable, str) and isinstance(value, Saved):
                    yield variable, value
            if next(self.steps) > _MOST:
                raise BadValue("what restores its variables comes to no end")
            function = self.functions.get(node.attr["f"].func.name if "f" in node.attr else node.op)
            if function is not None:
                yield from self._called(function, read).assigned(function.node_def)

    def _called(self, function: Any, read: Sequence[str]) -> _Body:
        names = [argument.name for argument in function.signature.input_arg]
        arguments = dict(zip(names, map(self._value, read)))
        return _Body({node.name: node for node in function.node_def}, self.functions, arguments, self.steps)

    def _value(self, word: str) -> _Value:
        """What a tensor is, by its name: `x`, `x:1`, or `x:output:1` in a function."""
        name, index = _parted(word)
        while (node := self.nodes.get(name)) is not None and node.op in _COPYING and node.input:
            if next(self.steps) > _MOST:
                raise BadValue("what restores its variables comes to no end")
            name, index = _parted(node.input[0])
        if node is None:
            return self.arguments.get(name)
        if node.op in VARIABLES:
            return str(node.name)
        if node.op == "Const" and node.attr["dtype"].type == tf.string.as_datatype_enum:
            return [text.decode(errors="replace") for text in array_of(node).ravel().tolist()]
        return self._restored(node, index) if node.op in _RESTORING else None

    def _restored(self, node: tf.NodeDef, index: int) -> Saved | None:
        """What an output of a restoring operation is: of one array, or one of many."""
        _, keys, *parts = [*(self._value(word) for word in node.input if not word.startswith("^")), None, None]
        if not isinstance(keys, list) or index >= len(keys):
            return None
        part = parts[0][index] if parts and isinstance(parts[0], list) and index < len(parts[0]) else ""
        return Saved(keys[index], _place(part))


def _parted(word: str) -> tuple[str, int]:
    name, *_, index = word.split(":") if ":" in word else (word, "0")
    return name, _number(index, word)


def _number(text: str, of: str) -> int:
    if not re.fullmatch("[0-9]{1,18}", text):
        raise BadValue(f"what restores its variables reads {of!r}, in which {text!r} is no number")
    return int(text)


def _place(text: str) -> tuple[slice, ...]:
    """The part of an array that a saver's `[shape] start,length:-` means: of the first axis some, of the second all."""
    pairs = [pair.split(",") for pair in text.split(" ")[-1].split(":")] if text else []
    parts = [[_number(number, text) for number in pair] if len(pair) == 2 else [] for pair in pairs]
    return tuple(slice(part[0], sum(part)) if part else slice(None) for part in parts)


def _stand_ins(nodes: Mapping[str, tf.NodeDef]) -> list[tuple[str, str]]:
    """Variables that nothing assigns to, and for each another one, that begins as it and is restored in its place.

    So `tf.saved_model.save` writes a model of Keras 3, whose layers read the variables that are never restored.
    """
    assigning = [node for node in nodes.values() if node.op == "AssignVariableOp" and len(node.input) > 1]
    assigned = {node.input[0]: nodes.get(node.input[1]) for node in assigning}
    reads = {name: value.input for name, value in assigned.items() if value and value.op == "ReadVariableOp"}
    began = {name: read[0] for name, read in reads.items() if read}
    return [(first, name) for name, first in began.items() if first not in assigned and name in nodes]
