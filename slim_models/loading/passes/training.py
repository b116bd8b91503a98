"""What training leaves in a graph from a file, and what it still asks to be fed."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import tensorflow.compat.v1 as tf

from slim_models.loading.passes.graph import PIPELINES, PLACEHOLDERS, Graph, Say, array_of, node_name, upstream
from slim_models.mistakes import BadValue

_RANDOM = re.compile(
    r"(Stateless|Stateful|Parameterized)*"
    r"(Random(?!Dataset|Get).*|TruncatedNormal(V2)?|StandardNormal(V2)?|Uniform(Int|FullInt)?|Multinomial)"
)
# What is computed of numbers that are known.
_COMPUTED: Mapping[str, Callable[..., Any]] = {
    **dict.fromkeys(("Identity", "PlaceholderWithDefault", "Cast"), lambda x: x),
    "LogicalNot": operator.not_,
    "Sub": operator.sub,
    "Mul": operator.mul,
    "RealDiv": lambda x, y: x / y if y else None,
}


Readers = Mapping[str, Sequence[tf.NodeDef]]  # a node's name -> the nodes that read it


class Mask(NamedTuple):
    """Numbers that are 1 with some probability and else 0 or false, of a dropout; made of random ones.

    Attributes:
        node: the node that makes them.
        kept: the probability.
    """

    node: tf.NodeDef
    kept: float


def settled(graph: Graph, images: str, logits: str, say: Say, called: Mapping[str, str] | None = None) -> Graph:
    """Puts constants for whatever else would have to be fed: that it is not training, that nothing drops out.

    Args:
        graph: the part between images and logits.
        images: name of the tensor of the pictures.
        logits: name of the tensor of the logits.
        say: is told what was guessed.
        called: name of a tensor -> what the network itself calls it.

    Returns:
        Another graph; `graph` itself if nothing else is fed.

    Raises:
        ValueError: it is unclear what to feed.
    """
    _check_fed(graph, images, logits)
    part, constants, unknown = graph.graph_def, {}, []
    for node in unfed(part, [images], [logits]):
        defaulted = node.op == "PlaceholderWithDefault"
        value, how = _value(graph, node)
        if value is None and not defaulted:
            unknown.append(node.name)
            continue
        # A default is what the program wanted most of the time, which may have been its training.
        if not defaulted or (value is not None and constant_of(graph.nodes, node.name) not in (None, value)):
            say(f"{node.name}: {value} ({how})")
            constants[node.name] = _constant(node, value)
    if unknown:
        raise BadValue(_asking_for([graph.inferred.get_tensor_by_name(f"{n}:0") for n in unknown], called or {}))
    if constants:
        part = tf.GraphDef(versions=part.versions)
        part.node.extend(constants.get(node.name, node) for node in graph.graph_def.node)
    return Graph(part, graph.heavy) if constants else graph


def _asking_for(inputs: Sequence[tf.Tensor], called: Mapping[str, str]) -> str:
    """The sentence about inputs that nobody has given a value."""
    kinds = {called.get(tensor.name, tensor.op.name): _text(tensor) for tensor in inputs}
    several, listed = len(kinds) > 1, " and ".join(f"{name} ({kinds[name]})" for name in sorted(kinds))
    flags = " ".join(f"--feed {name}=VALUE" for name in sorted(kinds))
    return (
        f"the logits also depend on the input{'s' if several else ''} {listed}, which "
        f"{'are no pictures' if several else 'is no picture'}: give {'each a value' if several else 'its value'}, the "
        f"same for every picture, as feed ({flags}), or name images and logits that do not need "
        f"{'them' if several else 'it'}"
    )


def _text(tensor: tf.Tensor) -> str:
    if tensor.shape.ndims is None:
        return str(tensor.dtype.name)
    return f"{tensor.dtype.name} [{', '.join('?' if size is None else str(size) for size in tensor.shape.as_list())}]"


def _kind(node: tf.NodeDef) -> tf.DType:
    return tf.as_dtype(node.attr["dtype"].type)


def _value(graph: Graph, node: tf.NodeDef) -> tuple[Any, str]:
    """What a network that is not being trained is fed, and how that is known; None if it is not."""
    shape = node.attr["shape"].shape
    if shape.dim:  # no switch; old graphs say no shape at all
        return None, ""
    found = _by_dropout(graph, node) if _kind(node).is_floating else None
    if found is not None:
        return found, "found: it goes into a dropout"
    return _inference_value(node.name.split("/")[-1].lower(), _kind(node)), "guessed by its name"


def _constant(node: tf.NodeDef, value: Any) -> tf.NodeDef:
    constant = tf.NodeDef(name=node.name, op="Const")
    constant.attr["dtype"].type = node.attr["dtype"].type
    constant.attr["value"].tensor.CopyFrom(tf.make_tensor_proto(value, _kind(node), shape=[]))
    return constant


def _inference_value(name: str, kind: tf.DType) -> bool | float | int | None:
    """What a network that is not being trained is fed, by the name of the placeholder."""
    if kind == tf.bool:
        if any(word in name for word in ("train", "phase", "mode", "dropout")):
            return False
        return True if any(word in name for word in ("test", "infer", "eval")) else None
    if kind.is_integer and any(word in name for word in ("train", "phase")):
        return 0
    if kind.is_floating and "keep" in name:
        return 1.0
    return 0.0 if kind.is_floating and any(word in name for word in ("drop", "train", "phase")) else None


def _by_dropout(graph: Graph, node: tf.NodeDef) -> float | None:
    """What lets a dropout drop nothing, if the number goes into one; its name may not say which of two it is.

    A keep probability is added to random numbers, or is what 1 is less the rate; a rate is what they are compared with.
    """
    nodes = graph.nodes
    reading = [reader for reader in nodes.values() if node.name in {node_name(word) for word in reader.input}]
    random = {other.name for other in graph.computed_from(f"{n}:0" for n in nodes if _RANDOM.fullmatch(nodes[n].op))}
    if any(reader.op == "GreaterEqual" and reader.name in random for reader in reading):
        return 0.0
    if any(reader.op in ("Add", "AddV2") and reader.name in random for reader in reading):
        return 1.0
    rates = [r.name for r in reading if r.op == "Sub" and constant_of(nodes, r.input[0]) == 1]
    compared = [n for n in nodes.values() if n.op == "GreaterEqual" and n.name in random]
    return 1.0 if any(node_name(word) in rates for reader in compared for word in reader.input) else None


def _check_fed(graph: Graph, images: str, logits: str) -> None:
    """Nothing may come out of a pipeline but the pictures.

    Raises:
        ValueError: something does.
    """
    for node in upstream(graph.nodes, [images], [logits], dead_nodes(graph.nodes), waits=False):
        if node.op in PIPELINES:
            raise BadValue(
                f"the logits also depend on what {node.name} ({node.op}) gives beside the pictures {images}, and "
                "nothing would come out of it: name images and logits that do not need it"
            )


def unfed(graph_def: tf.GraphDef, inputs: Iterable[str], outputs: Iterable[str]) -> list[tf.NodeDef]:
    """The placeholders other than `inputs` that `outputs` depend on: `keep_prob`, `phase_train`, the targets.

    TensorFlow asks for those without a default, even where their value would not matter; a
    `PlaceholderWithDefault` among them may stay unfed.

    Args:
        graph_def: the graph.
        inputs: names of nodes or tensors that are fed.
        outputs: names of nodes or tensors that are fetched.
    """
    nodes = {node.name: node for node in graph_def.node}
    return [node for node in upstream(nodes, inputs, outputs) if node.op in PLACEHOLDERS]


def batch_dependent(graph_def: tf.GraphDef, inputs: Iterable[str], outputs: Iterable[str]) -> list[str]:
    """Finds what gives a picture another result beside other pictures, or in another run.

    A batch norm in training mode normalises by the pictures of the batch; dropout is random. Neither counts
    in a branch that a constant rules out, nor dropout that drops nothing (`keep_prob` 1), nor Keras' layer
    normalisation, which calls the same operation on one picture at a time. Statistics that are computed from
    primitives (`tf.nn.moments`) cannot be told from other means.

    Args:
        graph_def: the graph, constants in place of what is not fed (`unfed`).
        inputs: names of nodes or tensors that are fed.
        outputs: names of nodes or tensors that are fetched.

    Returns:
        One sentence for each of the two, which names a node and says how many others are alike; empty if there is
        none.
    """
    nodes = {node.name: node for node in graph_def.node}
    functions = {function.signature.name: function for function in graph_def.library.function}
    found: dict[str, set[str]] = {}
    for node, what in _left(nodes, upstream(nodes, inputs, outputs, dead_nodes(nodes)), functions):
        found.setdefault(what, set()).add(f"{node.name!r} ({node.op})")
    return sorted(f"{min(named)}{_as_others(len(named) - 1)} {what}" for what, named in found.items())


def _as_others(others: int) -> str:
    return f", like {others} other{'s' if others > 1 else ''}," if others else ""


def _left(
    nodes: Mapping[str, tf.NodeDef], found: Collection[tf.NodeDef], functions: Mapping[str, Any]
) -> Iterator[tuple[tf.NodeDef, str]]:
    """Of the `found` among `nodes`, and of the functions that they call, what training has left, and what it is."""
    readers = readers_of(found)
    for node in found:
        if normalises_by_batch(nodes, node):
            yield (
                node,
                "is a batch norm in training mode: the result for a picture depends on those beside it. Write the "
                "graph with is_training=False",
            )
        elif _RANDOM.fullmatch(node.op) and not ((mask := mask_of(nodes, readers, node)) and mask.kept >= 1):
            yield (
                node,
                "is random, as in dropout: the result is another in every run. Write the graph for inference, or "
                "give keep_prob the value 1",
            )
        for function in _called(nodes, node) & functions.keys():
            inside = {inner.name: inner for inner in functions[function].node_def}
            yield from _left(inside, inside.values(), functions)


def _called(nodes: Mapping[str, tf.NodeDef], node: tf.NodeDef) -> set[str]:
    """The names of the functions a node calls; of a condition that is constant, the branch it takes."""
    called = {key: value.func.name for key, value in node.attr.items() if value.HasField("func")}
    if node.op in ("If", "StatelessIf") and (predicate := constant_of(nodes, node.input[0])) is not None:
        return {called["then_branch" if predicate else "else_branch"]}
    return set(called.values())


def readers_of(nodes: Iterable[tf.NodeDef]) -> Readers:
    """Of each node, the others that read it."""
    readers: dict[str, list[tf.NodeDef]] = {}
    for node in nodes:
        for name in node.input:
            readers.setdefault(node_name(name), []).append(node)
    return readers


def normalises_by_batch(nodes: Mapping[str, tf.NodeDef], node: tf.NodeDef) -> bool:
    """Whether a node is a batch norm in training mode."""
    if not re.fullmatch(r"_?FusedBatchNorm(V2|V3|Ex)?", node.op):
        return False
    if "is_training" in node.attr and not node.attr["is_training"].b:
        return False
    # Keras' LayerNormalization: [1, N, C, 1], channels first, every picture a channel.
    return not (node.attr.get("data_format", tf.AttrValue()).s == b"NCHW" and _has_one_picture(nodes, node.input[0]))


def _has_one_picture(nodes: Mapping[str, tf.NodeDef], name: str) -> bool:
    reshape = nodes.get(node_name(name))
    shape = nodes.get(node_name(reshape.input[1])) if reshape is not None and reshape.op == "Reshape" else None
    if shape is None:
        return False
    if shape.op == "Pack":
        return constant_of(nodes, shape.input[0]) == 1
    return shape.op == "Const" and array_of(shape).ravel().tolist()[:1] == [1]


def mask_of(nodes: Mapping[str, tf.NodeDef], readers: Readers, node: tf.NodeDef) -> Mask | None:
    """The mask that is made of a node's numbers u in [0, 1), if that is all they are for: floor(u + c), or u >= c."""
    if node.op not in ("RandomUniform", "StatelessRandomUniform", "StatelessRandomUniformV2"):
        return None
    shift = 0.0
    while len(readers.get(node.name, [])) == 1:
        reader = readers[node.name][0]
        values = [constant_of(nodes, name) for name in reader.input if node_name(name) != node.name]
        if reader.op == "Floor":
            return Mask(reader, shift)
        if reader.op == "GreaterEqual" and values[0] is not None:
            return Mask(reader, 1 - values[0] + shift) if node_name(reader.input[0]) == node.name else None
        if reader.op in ("Add", "AddV2") and values[0] is not None:
            shift += values[0]
        elif not (reader.op == "Identity" or (reader.op == "Mul" and values[0] == 1)):
            return None
        node = reader
    return None


def dead_nodes(nodes: Mapping[str, tf.NodeDef]) -> set[str]:
    """The nodes that do not run: those in the branch of a `tf.cond` (Switch, Merge) which a constant rules out."""
    readers: dict[str, list[str]] = {}
    for node in nodes.values():
        for name in node.input:
            readers.setdefault(name.removesuffix(":0"), []).append(node.name)
    waiting = []
    for node in nodes.values():
        if node.op in ("Switch", "RefSwitch") and (predicate := constant_of(nodes, node.input[1])) is not None:
            waiting.extend(readers.get(node.name if predicate else f"{node.name}:1", []))
    dead: set[str] = set()
    while waiting:
        node = nodes[waiting.pop()]
        alive = [name for name in node.input if node_name(name) not in dead]
        # A Merge waits for one of its inputs, whatever else for all.
        if node.name not in dead and not (node.op in ("Merge", "RefMerge") and alive):
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
        return None if node.attr["value"].tensor.tensor_shape.dim else array_of(node).item()
    compute = _COMPUTED.get(node.op)
    if compute is None:
        return None
    values = [constant_of(nodes, read) for read in node.input if not read.startswith("^")]
    return None if None in values else compute(*values)
