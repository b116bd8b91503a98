"""Fused operations of TensorFlow's graph optimisers, written out again: they have no gradient.

An optimiser (grappler's remapper, say) replaces a convolution, its bias and its activation by one
`_FusedConv2D` before a graph is run, and the file of an optimised graph has it too.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import TypeAlias

import tensorflow.compat.v1 as tf

from slim_models.loading.passes.graph import Graph
from slim_models.mistakes import BadValue

_CONVOLUTION = ("T", "strides", "padding", "explicit_paddings", "data_format", "dilations")
# Fused operation -> its first plain one, and which attributes that has.
_CONTRACTIONS = {
    "_FusedConv2D": ("Conv2D", _CONVOLUTION),
    "_FusedDepthwiseConv2dNative": ("DepthwiseConv2dNative", _CONVOLUTION),
    "_FusedMatMul": ("MatMul", ("T", "transpose_a", "transpose_b")),
}
# Names that begin with an underscore are TensorFlow's own, of graphs that are about to run.
_WITHOUT_GRADIENT = re.compile(
    r"_(?!Arg$|Retval$).*|Quantized.*|QuantizeV2|QuantizeDown.*|Dequantize|Requantiz.*|Uniform(Quanti|Dequanti|Requanti).*"
    r"|TPU.*|TRTEngineOp|Fused(Resize|Pad).*Conv2D"
)
Attribute: TypeAlias = tf.AttrValue | int | bool


def unfused(graph: Graph) -> Graph:
    """Writes every fused node as its plain operations.

    The last of them has the fused node's name, so that whatever reads it or names it finds it; the others are
    in its scope. The first waits for its control inputs.

    Args:
        graph: the functions of its library are kept as they are.

    Returns:
        Another graph with its library and versions; `graph` itself if nothing in it is fused.

    Raises:
        ValueError: a node is of a type that has no gradient and is not known here: other fusions, oneDNN's,
            quantized and accelerators' operations.
    """
    nodes = graph.graph_def.node
    for node in nodes:
        _check_known(node)
    if not any(node.op in _REWRITERS for node in nodes):
        return graph
    taken = set(graph.nodes)
    result = tf.GraphDef(library=graph.graph_def.library, versions=graph.graph_def.versions)
    for node in nodes:
        if node.op in _REWRITERS:
            writing = Writing(result, node, taken)
            _REWRITERS[node.op](writing)
            writing.finish()
        else:
            result.node.add().CopyFrom(node)
    return Graph(result, graph.heavy)


def _check_known(node: tf.NodeDef) -> None:
    if node.op not in _REWRITERS and _WITHOUT_GRADIENT.fullmatch(node.op):
        raise no_gradient(node)


def _contraction(writing: Writing) -> None:
    """A convolution or a matrix product, then the `fused_ops` in their order, then their arguments in theirs."""
    first, attributes = _CONTRACTIONS[writing.node.op]
    if writing.attribute("filter_format").s not in (b"", b"HWIO"):
        raise no_gradient(writing.node, f" with filter_format {writing.attribute('filter_format').s.decode()!r}")
    writing.add(first, *writing.inputs[:2], kept=attributes)
    arguments = iter(writing.inputs[2 : 2 + writing.attribute("num_args").i])
    for part in writing.attribute("fused_ops").list.s:
        name = part.decode()
        if name == "BiasAdd":
            writing.add("BiasAdd", writing.tensor, next(arguments), kept=("T", "data_format"))
        elif name == "Add":
            writing.add("AddV2", writing.tensor, next(arguments))
        elif name == "FusedBatchNorm":
            _batch_norm(writing, writing.tensor, *(next(arguments) for _ in range(4)))
        elif name in ACTIVATIONS:
            ACTIVATIONS[name](writing)
        else:
            raise no_gradient(writing.node, f" with fused_ops {name!r}")


def _batch_norm(writing: Writing, *inputs: str) -> None:
    kept = ("T", "epsilon", "data_format")
    writing.add("FusedBatchNormV3", *inputs, kept=kept, U=tf.float32.as_datatype_enum, is_training=False)


def _batch_norm_ex(writing: Writing) -> None:
    """Batch norm, then a sum, then an activation."""
    kept = ("T", "U", "epsilon", "exponential_avg_factor", "data_format", "is_training")
    mode = writing.attribute("activation_mode").s.decode()
    if mode not in ("", "Identity", "Relu"):
        raise no_gradient(writing.node, f" with activation_mode {mode!r}")
    writing.add("FusedBatchNormV3", *writing.inputs[:5], kept=kept)
    for other in writing.inputs[5:]:
        writing.add("AddV2", writing.tensor, other)
    if mode == "Relu":
        writing.add("Relu", writing.tensor)


_REWRITERS: dict[str, Callable[[Writing], None]] = {
    **dict.fromkeys(_CONTRACTIONS, _contraction),
    "_FusedBatchNormEx": _batch_norm_ex,
}


def no_gradient(node: tf.NodeDef, what: str = "") -> ValueError:
    """The error for a node that cannot be differentiated; `what` of it is not known here."""
    return BadValue(
        f"node {node.name!r} is a {node.op}{what}, which has no gradient: write the file without an optimiser "
        "(grappler, oneDNN, TensorRT, the graph transform tool), not quantized, in float32"
    )


class Writing:
    """Writes plain operations in place of one fused node, each of which reads the result of the one before.

    Attributes:
        node: the fused node.
        inputs: what it reads, without control inputs, `name` or `name:1`.
        tensor: the result so far, `name`.
    """

    def __init__(self, graph_def: tf.GraphDef, node: tf.NodeDef, taken: set[str]) -> None:
        self.node = node
        self.inputs = [name for name in node.input if not name.startswith("^")]
        self.tensor = ""
        self._graph_def = graph_def
        self._taken = taken
        self._waits = [name for name in node.input if name.startswith("^")]

    def attribute(self, name: str) -> tf.AttrValue:
        """An attribute of the fused node, or an empty one: `attr[name]` would add that to the node."""
        return self.node.attr.get(name, tf.AttrValue())

    def add(self, op: str, *inputs: str, kept: Sequence[str] = ("T",), **attributes: Attribute) -> str:
        """Adds an operation that reads `inputs`; `kept` are the attributes that it has of the fused node."""
        written = self._graph_def.node.add(name=self._free_name(op), op=op, input=inputs, device=self.node.device)
        written.input.extend(self._waits)
        self._waits = []
        for name in kept:
            if name in self.node.attr:
                written.attr[name].CopyFrom(self.node.attr[name])
        for name, value in attributes.items():
            written.attr[name].CopyFrom(_attribute(value))
        self.tensor = written.name
        return written.name

    def constant(self, value: float) -> str:
        """Adds a number of the fused node's type."""
        dtype = self.attribute("T").type
        tensor = tf.AttrValue(tensor=tf.make_tensor_proto(value, tf.as_dtype(dtype)))
        return self.add("Const", kept=(), dtype=tf.AttrValue(type=dtype), value=tensor)

    def finish(self) -> None:
        """Gives the last operation the name of the fused node."""
        self._graph_def.node[-1].name = self.node.name

    def _free_name(self, op: str) -> str:
        name, count = f"{self.node.name}/{op}", 0
        while name in self._taken:
            count += 1
            name = f"{self.node.name}/{op}_{count}"
        self._taken.add(name)
        return name


def _attribute(value: Attribute) -> tf.AttrValue:
    if isinstance(value, bool):
        return tf.AttrValue(b=value)
    return value if isinstance(value, tf.AttrValue) else tf.AttrValue(type=value)


def _plain(op: str) -> Callable[[Writing], object]:
    return lambda writing: writing.add(op, writing.tensor)


def _leaky_relu(writing: Writing) -> None:
    alpha = writing.node.attr.get("leakyrelu_alpha")
    writing.add("LeakyRelu", writing.tensor, **({"alpha": alpha} if alpha else {}))  # both have the same default


def _hard_swish(writing: Writing) -> None:
    """x * relu6(x + 3) / 6 (Howard et al. 2019, section 5.2)."""
    x = writing.tensor
    gate = writing.add("Relu6", writing.add("AddV2", x, writing.constant(3)))
    sixth = writing.constant(1 / 6)
    writing.add("Mul", writing.add("Mul", x, gate), sixth)


def _gelu(writing: Writing) -> None:
    """x / 2 * (1 + erf(x / sqrt(2))) (Hendrycks & Gimpel 2016)."""
    x = writing.tensor
    _times_half_of_one_plus(writing, x, writing.add("Erf", writing.add("Mul", x, writing.constant(0.5**0.5))))


def _gelu_by_tanh(writing: Writing) -> None:
    """x / 2 * (1 + tanh(sqrt(2 / pi) * (x + 0.044715 x^3))) (Hendrycks & Gimpel 2016)."""
    x = writing.tensor
    cube = writing.add("Mul", writing.add("Mul", x, x), x)
    inner = writing.add("AddV2", x, writing.add("Mul", cube, writing.constant(0.044715)))
    scaled = writing.add("Mul", inner, writing.constant(0.7978845608028654))
    _times_half_of_one_plus(writing, x, writing.add("Tanh", scaled))


def _times_half_of_one_plus(writing: Writing, x: str, gate: str) -> None:
    half = writing.add("Mul", x, writing.constant(0.5))
    writing.add("Mul", half, writing.add("AddV2", gate, writing.constant(1)))


ACTIVATIONS: dict[str, Callable[[Writing], object]] = {
    **{op: _plain(op) for op in ("Relu", "Relu6", "Elu", "Tanh", "Sigmoid")},
    "LeakyRelu": _leaky_relu,
    "_FusedHardSwish": _hard_swish,
    "GeluExact": _gelu,
    "GeluApproximate": _gelu_by_tanh,
}
