"""What outputs of a GraphDef depend on, before anything is imported."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any

import tensorflow.compat.v1 as tf

from slim_models.graph_defs import node_name


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
    seen = {node_name(name) for name in inputs} | set(dead)
    waiting, found = [node_name(name) for name in outputs], []
    while waiting:
        name = waiting.pop()
        if name not in seen and name in nodes:
            seen.add(name)
            found.append(nodes[name])
            waiting.extend(node_name(word) for word in nodes[name].input if waits or not word.startswith("^"))
    return found


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
