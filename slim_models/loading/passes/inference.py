"""The graph of a training made that of inference: batch norm takes what it has stored, dropout drops nothing.

An Estimator's checkpoint has the graph of its training, in which nothing says that it could be run otherwise. But what
batch norm will need later is updated in it, which tells where that is stored; and dropout can be told by its form.
"""

from __future__ import annotations

import collections
import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import tensorflow.compat.v1 as tf

from slim_models.loading.passes.cut import cut
from slim_models.loading.passes.decided import make_identity
from slim_models.loading.passes.graph import (
    VARIABLES,
    Graph,
    Rewriting,
    Say,
    data_inputs,
    node_name,
    silent,
    tensor_name,
    upstream,
)
from slim_models.loading.passes.training import (
    Readers,
    batch_dependent,
    constant_of,
    dead_nodes,
    mask_of,
    normalises_by_batch,
    readers_of,
)

Stored = Mapping[str, tf.NodeDef]  # a tensor, of the batch -> the variable in which its moving average is stored

_COPIES = ("Identity", "ReadVariableOp", "Cast", "Snapshot")
_SHAPING = ("Squeeze", "Reshape", "StopGradient", *_COPIES)
# Moments may be of what was shifted first: mean(x - s) + s, and mean((x - s)^2) - mean(x - s)^2.
_SHIFTING = ("Add", "AddV2", "Sub")


class _Dropout(NamedTuple):
    """A product with a mask, and the tensor that it is of when nothing is dropped."""

    product: str
    kept: str


def stored_averages(graph: Graph) -> Stored:
    """Finds the variables in which moving averages are stored, by their updates: `v -= (v - x) * (1 - decay)`.

    Args:
        graph: all of it, with its training.

    Returns:
        By the name of x, the node of v; not what is stored in several variables, or is a variable itself, as where
        the weights have moving averages.
    """
    found: dict[str, list[tf.NodeDef]] = {}
    for node in graph.nodes.values():
        if node.op not in ("AssignSub", "AssignSubVariableOp"):
            continue
        variable = _origin(graph, node.input[0])
        difference = _difference(graph, node.input[1])
        if difference is not None and _origin(graph, difference.input[0]) == variable:
            name, now = _unbiased(graph, node_name(variable)), _origin(graph, difference.input[1])
            if _is_variable(graph, name) and not _is_variable(graph, node_name(now)):
                found.setdefault(now, []).append(graph.nodes[name])
    return {tensor: averages[0] for tensor, averages in found.items() if len(averages) == 1}


def _difference(graph: Graph, change: str) -> tf.NodeDef | None:
    """What is subtracted from an average, less its factor 1 - decay; None if that is no difference."""
    words = [change]
    while words:
        node = graph.nodes.get(node_name(words.pop()))
        if node is not None and node.op == "Sub":
            return node
        if node is not None and (node.op == "Mul" or node.op in _COPIES):
            words.extend(reversed(data_inputs(node)))
    return None


def _unbiased(graph: Graph, name: str) -> str:
    """Of an average that began at zero, `SCOPE/v/biased`, the variable v in which it is stored as it is used."""
    if not name.endswith("/biased"):
        return name
    parts = name.split("/")[:-1]
    names = ("/".join(parts[first:]) for first in range(len(parts)))
    return next((name for name in names if _is_variable(graph, name)), name)


def _is_variable(graph: Graph, name: str) -> bool:
    return name in graph.nodes and graph.nodes[name].op in VARIABLES


def _origin(graph: Graph, word: str) -> str:
    """The tensor that one is a copy of."""
    name = tensor_name(word)
    while (node := graph.nodes.get(node_name(name))) is not None and node.op in _COPIES:
        name = tensor_name(node.input[0])
    return name


def inference(graph: Graph, stored: Stored, images: str, logits: str, say: Say, warn: Say = silent) -> Graph:
    """Makes of what is left of a training what inference has.

    Args:
        graph: the part between images and logits, constants in place of what says whether it is training.
        stored: what batch norm has stored, `stored_averages` of the whole graph.
        images: name of the tensor of the pictures.
        logits: name of the tensor of the logits.
        say: is told what was changed.
        warn: is told what training has left all the same (`batch_dependent`): a batch norm of which nothing is stored,
            as in a graph that was frozen in training, and random numbers that are no dropout's.

    Returns:
        Another graph; `graph` itself if nothing is to be changed.
    """
    graph = _changed(graph, stored, images, logits, say)
    for sentence in batch_dependent(graph.graph_def, [images], [logits]):
        warn(sentence)
    return graph


def _changed(graph: Graph, stored: Stored, images: str, logits: str, say: Say) -> Graph:
    """The graph of inference; `graph` itself if that is what it is."""
    live = upstream(graph.nodes, [images], [logits], dead_nodes(graph.nodes))
    if any(node.op == "Enter" for node in live):  # what a loop reads has to enter it
        return graph
    norms = {node.name: pair for node in live if (pair := _averages(graph, node, stored))}
    moments = _moments(graph, live, stored, images)
    readers = readers_of(live)
    dropouts = [dropout for node in live if (dropout := _dropout(graph, readers, node))]
    if not (norms or moments or dropouts):
        return graph
    rewriting = Rewriting(graph)
    averages = [average for pair in norms.values() for average in pair] + list(moments.values())
    read = {variable.name: _read(rewriting, variable) for variable in averages}
    instead = {tensor: read[variable.name] for tensor, variable in moments.items()}
    kept = {dropout.product: dropout.kept for dropout in dropouts}
    for node in graph.graph_def.node:
        if node.name in read:
            continue
        copy = rewriting.copy(node)
        copy.input[:] = [instead.get(tensor_name(word), word) for word in node.input]
        if node.name in norms:
            copy.attr["is_training"].b = False
            copy.input[3:5] = [read[variable.name] for variable in norms[node.name]]
        elif node.name in kept:
            make_identity(copy, kept[node.name])
    say(f"training: {_counted(len(norms) + len(moments) // 2, len(dropouts))} (found: by their form)")
    # What the batch's own statistics and the masks were made of is needed no more.
    return cut(rewriting.finished(), images, logits)


def _averages(graph: Graph, node: tf.NodeDef, stored: Stored) -> list[tf.NodeDef]:
    """The variables of a batch norm's mean and variance; none if it is not in training mode, or they are unknown."""
    if not normalises_by_batch(graph.nodes, node):
        return []
    # Its own inputs, where it updates them itself; else they are of no use, and empty.
    own = [graph.nodes.get(node_name(_origin(graph, word))) for word in data_inputs(node)[3:5]]
    pair = [stored.get(f"{node.name}:{i}", own[i - 1]) for i in (1, 2)]
    found = [variable for variable in pair if variable is not None and variable.op in VARIABLES]
    return found if len(found) == 2 else []


def _moments(graph: Graph, live: Sequence[tf.NodeDef], stored: Stored, images: str) -> dict[str, tf.NodeDef]:
    """Means and variances of batch norms that are written as single operations -> where their averages are stored.

    They come in pairs, both of the same numbers; an average of something else has no such other.
    """
    names = {node.name for node in live} & {node.name for node in graph.computed_from([tensor_name(images)])}
    pairs = collections.defaultdict(list)
    for tensor, variable in stored.items():
        averaged = _averaged(graph, tensor) if node_name(tensor) in names else None
        if averaged is not None:
            shape = graph.inferred.get_tensor_by_name(tensor).shape
            if shape.is_compatible_with(tf.TensorShape(variable.attr["shape"].shape)):
                pairs[averaged].append((tensor, variable))
    return dict(found for pair in pairs.values() if len(pair) == 2 for found in pair)


def _averaged(graph: Graph, tensor: str) -> str | None:
    """The tensor that a mean or a variance is of; None if it is neither."""
    node = graph.behind(tensor, _SHAPING)
    if node is not None and node.op in _SHIFTING:
        node = graph.behind(node.input[0], _SHAPING)
    if node is None or node.op != "Mean":
        return None
    squared = graph.behind(node.input[0], _COPIES)
    shifted = squared is not None and squared.op == "Sub" and _is_shift(graph, squared.input[1])
    if squared is not None and (shifted or squared.op in ("SquaredDifference", "Square")):
        node = squared
    return _origin(graph, node.input[0])


def _is_shift(graph: Graph, word: str) -> bool:
    """Whether something is a mean, through which no gradient goes."""
    node = graph.nodes.get(node_name(word))
    return node is not None and node.op == "StopGradient"


def _dropout(graph: Graph, readers: Readers, node: tf.NodeDef) -> _Dropout | None:
    """The dropout that a node's random numbers are for: x / p times numbers that are 1 with the probability p."""
    mask = mask_of(graph.nodes, readers, node)
    if mask is None or not 0 < mask.kept < 1:
        return None
    node = mask.node
    while len(reading := readers.get(node.name, [])) == 1 and reading[0].op in _COPIES:
        node = reading[0]
    if len(reading) != 1 or reading[0].op not in ("Mul", "Select", "SelectV2"):
        return None
    product = reading[0]
    scaled = next((word for word in data_inputs(product)[:2] if node_name(word) != node.name), None)
    kept = None if scaled is None else _unscaled(graph, scaled, mask.kept)
    return None if kept is None else _Dropout(product.name, kept)


def _unscaled(graph: Graph, scaled: str, kept: float) -> str | None:
    """The tensor that one is of, divided by a probability; None if it is not divided by it."""
    node = graph.nodes[node_name(scaled)]
    if node.op not in ("Mul", "RealDiv", "Div"):
        return None
    words = data_inputs(node)
    for word, other in [words, words[::-1]] if node.op == "Mul" else [words]:
        factor = constant_of(graph.nodes, other)
        if factor and math.isclose(factor if node.op == "Mul" else 1 / factor, 1 / kept, rel_tol=1e-3):
            return word
    return None


def _read(rewriting: Rewriting, variable: tf.NodeDef) -> str:
    """Adds a variable and what reads it; returns its value."""
    rewriting.copy(variable)
    dtype = tf.AttrValue(type=variable.attr["dtype"].type)
    if variable.op == "VarHandleOp":
        return rewriting.add("ReadVariableOp", f"{variable.name}/stored", [f"{variable.name}:0"], dtype=dtype)
    return rewriting.add("Identity", f"{variable.name}/stored", [f"{variable.name}:0"], T=dtype)


def _counted(norms: int, dropouts: int) -> str:
    """What was changed, in words."""
    told = []
    if norms:
        told.append(f"{norms} batch norm{'s take' if norms > 1 else ' takes'} the averages that are stored")
    if dropouts:
        told.append(f"{dropouts} dropout{'s drop' if dropouts > 1 else ' drops'} nothing")
    return ", ".join(told)
