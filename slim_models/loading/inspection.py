"""Everything that is found in a file, as far as `load` gets with it: nothing is refused."""

from __future__ import annotations

import collections
import dataclasses
import math
import os
import pathlib
import re
import warnings
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import tensorflow.compat.v1 as tf

from slim_models.backward import refusal
from slim_models.builders import NETWORKS
from slim_models.loading.confined import kind_of
from slim_models.loading.formats import format_of
from slim_models.loading.loader import Steps, load
from slim_models.loading.originals import Original
from slim_models.loading.passes import PLACEHOLDERS, VARIABLES, Graph
from slim_models.mistakes import Mistake, UnknownName
from slim_models.naming import check_there
from slim_models.network import Network
from slim_models.weights import AVERAGE, evaluated_weights, fitted

# What operations of a training are called, in words.
_TRAINING = {
    "a queue or iterator": re.compile(r".*(Queue|Iterator|Dataset|Unstage|Stage|ReaderRead).*"),
    "an optimiser": re.compile(r"(Resource)?(Sparse)?Apply\w+"),
    "a loss": re.compile(r"(Sparse)?SoftmaxCrossEntropyWithLogits|L2Loss|SquaredDifference|InTopK(V2)?"),
    "summaries": re.compile(r"\w*Summary(V2)?"),
    "checks": re.compile(r"Assert|CheckNumerics\w*"),
}
# What has to be told by hand, by the words in which it is asked for, and the flag.
_ASKED = {
    "--image-size": r"image_size",
    "--layer": r"give a layer",
    "--logits-tensor": r"name as logits|name of the logits",
    "--images-tensor": r"name as images|give images",
}
_SAVERS = re.compile(r"(^|/)(save(_\d+)?/(filename|Const)(_\d+)?|saver_filename)$")


@dataclasses.dataclass(frozen=True)
class FoundTensor:
    """A tensor.

    Attributes:
        name: of it.
        shape: its sizes, None where any will do; None if nothing is known.
        dtype: such as `float32`; empty if it is not known.
        chosen: whether it is the one that is taken: for pictures, as the logits, as the default layer.
    """

    name: str
    shape: Sequence[int | None] | None = None
    dtype: str = ""
    chosen: bool = False


@dataclasses.dataclass
class Inspection:
    """What was found.

    Attributes:
        path: of what was looked at, or the name of a network of ours.
        format: what it is, in words.
        versions: of what wrote it: program -> version.
        size: in bytes.
        inputs: that it can be fed; the one that takes pictures is `chosen`.
        outputs: that it gives; the logits are `chosen`.
        image_size: height and width of the pictures in pixels.
        head: how logits become what the network says, of `HEADS`.
        num_classes: C.
        labels: names of the classes.
        layers: that can be explained, in forward order; the default is `chosen`.
        preprocessing: what is done with RGB in [0, 255] before the graph; None if that could not be told.
        parameters: how many numbers the network has learnt.
        guided: why there is no guided backprop; None if there is.
        training: what a training has left.
        evidence: what was found or guessed and how, by what it is of: `images`, `logits`, `preprocessing`, ...
        problem: why it cannot be explained as it is, and what to do; None if it can.
        flags: which flags settle that; empty if there is no problem, or none that a flag settles.
    """

    path: str
    format: str = ""
    versions: Mapping[str, str] = dataclasses.field(default_factory=dict)
    size: int = 0
    inputs: Sequence[FoundTensor] = ()
    outputs: Sequence[FoundTensor] = ()
    image_size: tuple[int, int] | None = None
    head: str | None = None
    num_classes: int | None = None
    labels: Sequence[str] | None = None
    layers: Sequence[FoundTensor] = ()
    preprocessing: str | None = None
    parameters: int | None = None
    guided: str | None = None
    training: Sequence[str] = ()
    evidence: Mapping[str, str] = dataclasses.field(default_factory=dict)
    problem: str | None = None
    flags: Sequence[str] = ()


def inspected(path: str | os.PathLike, **given: Any) -> Inspection:
    """Looks at a file or a folder.

    Args:
        path: of anything.
        given: what need not be found, as of `load`.

    Raises:
        FileNotFoundError: there is nothing at `path`.
        KeyError, ValueError: what is given cannot be: no such head or preprocessing.
    """
    check_there(path)
    path = pathlib.Path(path)
    form = format_of(path)
    size = sum(part.stat().st_size for part in form.files)
    result = Inspection(str(path), form.name, form.versions, size)
    if form.weights:
        _look_at_weights(result, path)
        return result
    steps, lines, warned = _tried(result, path, given)
    result.evidence = _evidence(lines)
    if steps.original is not None:
        _look_at_graph(result, steps.original, steps)
    if steps.plan is not None:
        result.head, result.num_classes = steps.plan.head, steps.plan.num_classes
        result.parameters = _parameters(steps.plan.part)
    if steps.labels is not None:
        result.labels = list(steps.labels.names)
    if steps.network is not None:
        look_at_network(result, steps.network)
    told = steps.preprocessing
    result.preprocessing = told if isinstance(told, str) or told is None else "a function"
    result.training = [*result.training, *warned]
    return result


def _tried(result: Inspection, path: pathlib.Path, given: Mapping[str, Any]) -> tuple[Steps, list[str], list[str]]:
    """How far `load` gets, what it says, and what it warns of."""
    steps = Steps()
    lines: list[str] = []
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", RuntimeWarning)
        try:
            load(path, say=lines.append, steps=steps, **given)
        except tf.errors.OpError as error:
            result.problem = f"TensorFlow cannot run the graph: {_reason(error)}"
        except Mistake as mistake:
            if steps.original is None and isinstance(mistake, UnknownName):
                raise  # a head or a preprocessing that there is not
            result.problem = " ".join(str(mistake).split())
            untold = steps.network is not None and steps.preprocessing is None
            asked = [flag for flag, words in _ASKED.items() if re.search(words, result.problem)]
            result.flags = ["--preprocessing"] if untold else asked
    return steps, lines, [str(one.message) for one in caught if one.category is RuntimeWarning]


def _reason(error: tf.errors.OpError) -> str:
    """The line of TensorFlow's many that says what went wrong."""
    lines = [line.strip() for line in error.message.splitlines() if line.strip()]
    around = ("[[", "Graph execution", "Detected at", "Node:", "Traceback", "File ", "Original stack")
    told = next((line for line in lines if not line.startswith(around)), "")
    return f"{told} (at {error.op.name})" if error.op is not None else told


def _evidence(lines: Iterable[str]) -> dict[str, str]:
    """What was said, by what it is of; several sentences of the same are one."""
    found: dict[str, str] = {}
    for line in lines:
        key, _, text = line.partition(": ")
        found[key] = f"{found[key]}; {text}" if key in found else text
    return found


def _look_at_weights(result: Inspection, path: pathlib.Path) -> None:
    """Weights without a graph: how many, and whose of ours they could be."""
    lines: list[str] = []
    try:
        arrays = evaluated_weights(path, say=lines.append)
    except Mistake as mistake:
        result.problem = " ".join(str(mistake).split())
        return
    result.evidence = _evidence(lines)
    result.parameters = sum(array.size for array in arrays.values())
    ends = {name: entry.ends for name, entry in NETWORKS.items() if entry.ends}
    own = [name for name in ends if ends[name][0] in fitted(arrays, ends[name])]
    deeper = any(name.endswith("conv5_4/weights") for name in arrays)
    own = [name for name in own if not name.startswith("vgg") or name.startswith("vgg19") == deeper]
    if own:
        result.problem = f"weights without a graph, of {' or '.join(own)}: give them as --weights of that --network"
        result.flags = [f"--network {own[0]} --weights {path}"]
    else:
        result.problem = (
            "weights without a graph, of no network of ours: give the SavedModel, the frozen graph, the Keras model or "
            "the checkpoint with its .meta that they belong to"
        )


def _look_at_graph(result: Inspection, original: Original, steps: Steps) -> None:
    """What goes in and comes out, and what a training has left."""
    nodes = list(original.graph_def.node)
    for function in original.graph_def.library.function:
        nodes.extend(function.node_def)
    taken = steps.plan.images if steps.plan is not None else None
    names = {f"{node.name}:0": node for node in original.graph_def.node if _is_input(node)}
    inputs = [_placeholder(name, node, name == taken) for name, node in names.items()]
    if steps.plan is not None and taken not in names:
        own = steps.plan.part.inferred.get_tensor_by_name(steps.plan.images)
        inputs.insert(0, _tensor(own, True))
    result.inputs = sorted(inputs, key=lambda one: not one.chosen)
    outputs = [_tensor(found, False) for found in _named(original, original.logits)]
    if steps.plan is not None:
        logits = steps.plan.part.inferred.get_tensor_by_name(steps.plan.logits)
        outputs = [_tensor(logits, True), *(one for one in outputs if one.name != logits.name)]
    result.outputs = outputs
    result.training = list(_left(nodes))


def _is_input(node: tf.NodeDef) -> bool:
    """Whether it is fed by who runs a graph: no variable of a function, no file name of a Saver."""
    if node.op not in PLACEHOLDERS or _SAVERS.search(node.name):
        return False
    return tf.as_dtype(node.attr["dtype"].type) not in (tf.resource, tf.variant)


def _placeholder(name: str, node: tf.NodeDef, chosen: bool) -> FoundTensor:
    shape = tf.TensorShape(node.attr["shape"].shape) if "shape" in node.attr else tf.TensorShape(None)
    sizes = None if shape.ndims is None else shape.as_list()
    return FoundTensor(name, sizes, tf.as_dtype(node.attr["dtype"].type).name, chosen)


def _named(original: Original, names: Iterable[str]) -> list[tf.Tensor]:
    found = []
    for name in names:
        try:
            found.append((original.graph or Graph(original.graph_def).inferred).get_tensor_by_name(name))
        except (KeyError, ValueError):
            continue
    return found


def _tensor(tensor: tf.Tensor, chosen: bool) -> FoundTensor:
    shape = None if tensor.shape.ndims is None else tensor.shape.as_list()
    return FoundTensor(tensor.name, shape, tensor.dtype.base_dtype.name, chosen)


def _left(nodes: Sequence[tf.NodeDef]) -> Iterable[str]:
    """What of a graph only its training needs, in words, with an example of each."""
    for words, types in _TRAINING.items():
        kinds = collections.Counter(kind for kind in map(kind_of, nodes) if types.fullmatch(kind))
        if kinds:
            yield f"{words} ({', '.join(f'{count} {kind}' for kind, count in kinds.most_common(3))})"
    averages = sum(node.op in VARIABLES and node.name.endswith(f"/{AVERAGE}") for node in nodes)
    if averages:
        yield f"moving averages of {averages} variables (--averages takes them)"


def _parameters(part: Graph) -> int:
    """The numbers in variables and constants of a part, those that are only a number left aside."""
    total = 0
    for node in part.graph_def.node:
        if node.op in VARIABLES or node.name in part.heavy:
            shape = tf.TensorShape(node.attr["shape"].shape)
        elif node.op == "Const" and tf.as_dtype(node.attr["dtype"].type).is_floating:
            shape = tf.TensorShape(node.attr["value"].tensor.tensor_shape)
        else:
            continue
        total += math.prod(size or 0 for size in shape.as_list()) if shape.ndims else 0
    return total


def look_at_network(result: Inspection, network: Network) -> None:
    """The layers of a network, its pictures' size, and whether guided backprop is defined for it."""
    result.image_size = network.image_size
    result.layers = [
        FoundTensor(name, tensor.shape.as_list(), tensor.dtype.base_dtype.name, name == network.default_layer)
        for name, tensor in network.endpoints.items()
    ]
    result.guided = refusal(network.logits, [network.images])
