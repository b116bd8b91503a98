"""The names of classes that a graph itself has: the list or table in which it looks up what it predicts."""

from __future__ import annotations

import tensorflow.compat.v1 as tf

from slim_models.loading.passes import Graph, array_of, constant_of, data_inputs, node_name
from slim_models.mistakes import Mistake

_FINDING = ("LookupTableFind", "LookupTableFindV2")
_PICKING = ("Gather", "GatherV2", "GatherNd", "StridedSlice")  # an element of a list, by its number
_MOST = 10**6  # classes
_PASSING = ("Identity",)  # as stands for what a function of TensorFlow 2 is called with
_FILLING = ("InitializeTable", "InitializeTableV2", "LookupTableImport", "LookupTableImportV2")


def names_in(graph: Graph, logits: str, num_classes: int) -> list[str] | None:
    """The names of all classes, by their numbers; None if the graph has none.

    A table as `tf.lookup.index_to_string_table_from_tensor` writes it, an Estimator's head with a vocabulary of labels,
    or Keras' StringLookup; a list of which `tf.gather` picks.

    Args:
        graph: all of it, with what fills its tables.
        logits: name of the tensor; what is looked up is computed from it.
        num_classes: C.
    """
    found = [(node_name(node.input[1]), _looked_up_in(graph, node)) for node in graph.nodes.values() if _looks_up(node)]
    fitting = [(number, names) for number, names in found if names is not None and len(names) == num_classes]
    after = {node.name for node in graph.computed_from([_copied(graph, logits)])} if fitting else set()
    return next((names for number, names in fitting if number in after), None)


def _looks_up(node: tf.NodeDef) -> bool:
    """Whether an operation may give a name by its number, its second input."""
    return node.op in (*_FINDING, *_PICKING) and len(node.input) > 1


def _looked_up_in(graph: Graph, node: tf.NodeDef) -> list[str] | None:
    """All names of which such an operation gives one; None if they are not known, or no names."""
    return _contents(graph, node.input[0]) if node.op in _FINDING else _strings(graph, node.input[0])


def _copied(graph: Graph, tensor: str) -> str:
    """The tensor that a function's output, say, is a copy of."""
    node = graph.nodes[node_name(tensor)]
    while node.op in ("Identity", "IdentityN"):
        tensor = data_inputs(node)[int(tensor.rpartition(":")[2])]
        node = graph.nodes[node_name(tensor)]
    return tensor


def _contents(graph: Graph, word: str) -> list[str] | None:
    """What is filled into a table of names by their numbers, from 0 on; None if that is not known."""
    table = graph.behind(word, _PASSING)
    for node in graph.nodes.values():
        if node.op in _FILLING and graph.behind(node.input[0], _PASSING) is table:
            keys, values = data_inputs(node)[1:3]
            names, numbers = _strings(graph, values), _numbers(graph, keys)
            if names is None or numbers is None or sorted(numbers) != list(range(len(names))):
                return None
            return [name for _, name in sorted(zip(numbers, names))]
    return None


def _strings(graph: Graph, word: str) -> list[str] | None:
    node = graph.behind(word, _PASSING)
    if node is None or node.op != "Const" or node.attr["dtype"].type != tf.string.as_datatype_enum:
        return None
    try:
        return [value.decode() for value in array_of(node).ravel().tolist()]
    except (Mistake, UnicodeDecodeError):
        return None


def _numbers(graph: Graph, word: str) -> list[int] | None:
    """Whole numbers that are constant, one by one or as a range."""
    node = graph.behind(word, ("Cast", *_PASSING))
    if node is not None and node.op == "Range":
        first, last, step = (constant_of(graph.nodes, read) for read in data_inputs(node)[:3])
        known = isinstance(first, int) and isinstance(last, int) and isinstance(step, int) and step > 0
        return list(range(first, min(last, _MOST), step)) if known else None
    if node is None or node.op != "Const":
        return None
    try:
        array = array_of(node)
    except Mistake:
        return None
    return array.ravel().tolist() if array.dtype.kind in "iu" else None
