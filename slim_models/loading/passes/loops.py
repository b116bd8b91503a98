"""Loops of TensorFlow 1 (Enter, Merge, Switch, NextIteration, Exit) told to TensorFlow again, or they have no gradient.

A GraphDef has a loop's operations; what makes one loop of them, in which its gradient is written, is the collection
`while_context` of the program that built it, which a frozen graph has not, and a lowered `While` never had.
"""

from __future__ import annotations

import collections
import dataclasses
from collections.abc import Iterator, Mapping

import tensorflow.compat.v1 as tf
from tensorflow.core.protobuf import control_flow_pb2

from slim_models.loading.passes.graph import Graph, Rewriting, data_inputs, node_name, tensor_name

_ENTER, _EXIT = ("Enter", "RefEnter"), ("Exit", "RefExit")
_SWITCH, _MERGE = ("Switch", "RefSwitch"), ("Merge", "RefMerge")


@dataclasses.dataclass
class _Loop:
    """One frame: its nodes but for those of loops in it, and these loops' exits.

    Attributes:
        nodes: in topological order.
        outer: the frame that it is in; empty for none.
    """

    outer: str
    nodes: list[tf.NodeDef] = dataclasses.field(default_factory=list)
    inner_exits: list[tf.NodeDef] = dataclasses.field(default_factory=list)


def with_exits(graph: Graph) -> Graph:
    """Gives an Exit to all that goes round in a loop: TensorFlow would take what has none for what has no gradient.

    Args:
        graph: from which what nobody reads has been cut.

    Returns:
        Another graph; `graph` itself if it has no loops, or they have all exits.
    """
    conditions = {tensor_name(name) for name, node in graph.nodes.items() if node.op == "LoopCond"}
    left = {data_inputs(node)[0] for node in graph.graph_def.node if node.op in _EXIT}
    without = [
        node
        for node in graph.graph_def.node
        if node.op in _SWITCH and data_inputs(node)[1] in conditions and f"{node.name}:0" not in left
    ]
    if not without:
        return graph
    rewriting = Rewriting(graph)
    for node in graph.graph_def.node:
        rewriting.copy(node)
    for node in without:
        rewriting.add("Exit", f"{node.name}/exit", [f"{node.name}:0"], T=node.attr["T"])
    return rewriting.finished()


def while_contexts(graph: Graph) -> list[bytes]:
    """The loops of a graph as `tf.train.import_meta_graph` takes them, as collection `while_context`.

    Args:
        graph: any.

    Returns:
        One serialised WhileContextDef per outermost loop; those that cannot be told (conditions in a loop) are left
        out: they run, and have no gradient.
    """
    loops = _loops(graph)
    inner = collections.defaultdict(list)
    for name, loop in loops.items():
        inner[loop.outer].append(name)
    described = (_described(graph, name, loops, inner) for name in inner[""])
    return [found.SerializeToString() for found in described if found is not None]


def _loops(graph: Graph) -> dict[str, _Loop]:
    """By the name of the frame."""
    frames: dict[str, str] = {}  # node -> frame of what it gives
    loops: dict[str, _Loop] = {}
    for node in graph.topological:
        read = {frames.get(node_name(word), "") for word in node.input}
        frame = max(read, key=lambda name: _depth(name, loops), default="")
        if node.op in _ENTER:
            name = node.attr["frame_name"].s.decode()
            loops.setdefault(name, _Loop(frame))
            frame = name
        if frame:
            loops[frame].nodes.append(node)
        if node.op in _EXIT and frame:
            outer = loops[frame].outer
            if outer:
                loops[outer].inner_exits.append(node)
            frame = outer
        frames[node.name] = frame
    return loops


def _depth(name: str, loops: Mapping[str, _Loop]) -> int:
    depth = 0
    while name:
        name, depth = loops[name].outer, depth + 1
    return depth


def _described(
    graph: Graph, name: str, loops: Mapping[str, _Loop], inner: Mapping[str, list[str]]
) -> control_flow_pb2.WhileContextDef | None:
    loop = loops[name]
    by_kind = {kind: [node for node in loop.nodes if node.op in kind] for kind in (_ENTER, _EXIT, _SWITCH, _MERGE)}
    conditions = [node for node in loop.nodes if node.op == "LoopCond"]
    if len(conditions) != 1 or len(by_kind[_MERGE]) != len(by_kind[_SWITCH]):
        return None
    pivot = tensor_name(conditions[0].name)
    if any(data_inputs(switch)[1] != pivot for switch in by_kind[_SWITCH]):
        return None
    taken = {f"{switch.name}:1" for switch in by_kind[_SWITCH]}
    bodies = [node for node in loop.nodes if node.op == "Identity" and data_inputs(node)[0] in taken]
    nested = [_described(graph, other, loops, inner) for other in inner[name]]
    if not bodies or None in nested:
        return None
    enter = by_kind[_ENTER][0]
    result = control_flow_pb2.WhileContextDef(
        context_name=name,
        parallel_iterations=enter.attr["parallel_iterations"].i or 10,
        back_prop=True,
        pivot_name=pivot,
        pivot_for_pred_name=tensor_name(by_kind[_MERGE][0].name),
        pivot_for_body_name=tensor_name(bodies[0].name),
        loop_exit_names=[tensor_name(node.name) for node in by_kind[_EXIT]],
        loop_enter_names=[tensor_name(node.name) for node in by_kind[_ENTER] if not node.attr["is_constant"].b],
        nested_contexts=[control_flow_pb2.ControlFlowContextDef(while_ctxt=other) for other in nested],
    )
    result.values_def.values.extend(_values(graph, loop))
    return result


def _values(graph: Graph, loop: _Loop) -> Iterator[str]:
    for node in (*loop.nodes, *loop.inner_exits):
        yield from (tensor.name for tensor in graph.inferred.get_operation_by_name(node.name).outputs)
