"""The plain operations that fused ones are made of, written one after the other into a graph."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeAlias

import tensorflow.compat.v1 as tf

Attribute: TypeAlias = tf.AttrValue | int | bool


def no_gradient(node: tf.NodeDef, what: str = "") -> ValueError:
    """The error for a node that cannot be differentiated; `what` of it is not known here."""
    return ValueError(
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
