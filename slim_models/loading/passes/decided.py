"""Conditions that constants decide: the branch that is taken, without the condition.

`tf.cond(phase_train, ...)` around a batch norm is a Switch for each tensor that goes into a branch, and a Merge.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import tensorflow.compat.v1 as tf

from slim_models.loading.passes.graph import Graph, node_name, tensor_name
from slim_models.loading.passes.training import constant_of, dead_nodes

_SWITCHES = ("Switch", "RefSwitch")
_MERGES = ("Merge", "RefMerge")


def decided(graph: Graph) -> Graph:
    """Takes out conditions whose predicate is always the same, and the branches that never run.

    Args:
        graph: the part between images and logits, constants in place of what says whether it is training.

    Returns:
        Another graph; `graph` itself if it has no such conditions.
    """
    nodes = graph.nodes
    switches = {
        name for name, node in nodes.items() if node.op in _SWITCHES and constant_of(nodes, node.input[1]) is not None
    }
    if not switches:
        return graph
    dead = dead_nodes(nodes)
    merges = _merges(nodes, dead)
    part = tf.GraphDef(versions=graph.graph_def.versions, library=graph.graph_def.library)
    for node in graph.graph_def.node:
        if node.name in dead:
            continue
        copy = part.node.add()
        copy.CopyFrom(node)
        copy.input[:] = [_of_taken(word, switches) for word in node.input if not _waits_for(word, dead)]
        if node.name in switches or node.name in merges:
            read = merges.get(node.name) or copy.input[0]
            waits = [word for word in copy.input if word.startswith("^")]
            make_identity(copy, _of_taken(read, switches), waits)
    return Graph(part, {name: node for name, node in graph.heavy.items() if name not in dead})


def _merges(nodes: Mapping[str, tf.NodeDef], dead: set[str]) -> dict[str, str]:
    """Name of a Merge -> the only input that is alive, if nobody asks which one it was."""
    asked = {tensor_name(word) for node in nodes.values() for word in node.input}
    dead_sides = dead | _dead_outputs(nodes)
    result = {}
    for name, node in nodes.items():
        if node.op in _MERGES and name not in dead and f"{name}:1" not in asked:
            inputs = [word for word in node.input if not word.startswith("^")]
            alive = [word for word in inputs if not {node_name(word), tensor_name(word)} & dead_sides]
            if len(alive) == 1 and len(inputs) > 1:
                result[name] = alive[0]
    return result


def _dead_outputs(nodes: Mapping[str, tf.NodeDef]) -> set[str]:
    """The outputs of the Switches that nothing comes out of."""
    decided_by = {name: constant_of(nodes, node.input[1]) for name, node in nodes.items() if node.op in _SWITCHES}
    return {f"{name}:{0 if value else 1}" for name, value in decided_by.items() if value is not None}


def _of_taken(word: str, switches: set[str]) -> str:
    """A Switch has two outputs, and what takes its place one."""
    return f"{node_name(word)}:0" if node_name(word) in switches and not word.startswith("^") else word


def _waits_for(word: str, names: set[str]) -> bool:
    return word.startswith("^") and node_name(word) in names


def make_identity(node: tf.NodeDef, tensor: str, waits: Sequence[str] = ()) -> None:
    """Makes of a node one that only hands a tensor on; `waits`: its control inputs."""
    node.op = "Identity"
    node.input[:] = [tensor, *waits]
    for attribute in set(node.attr) - {"T"}:
        del node.attr[attribute]
