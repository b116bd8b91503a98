"""NCHW to NHWC: graphs written for GPUs, on any device and with activations `[N, h, w, K]`.

cuDNN's layout has the channels before height and width; TensorFlow's own kernels for CPUs have it not,
and everything here that takes activations takes `[N, h, w, K]`. Graphs converted from PyTorch, and Keras'
`channels_first` on CPUs, have every convolution in NHWC between two Transposes, and all else in NCHW.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import tensorflow.compat.v1 as tf

from slim_models.loading.passes.graph import Graph, Rewriting, data_inputs, node_name, type_of
from slim_models.mistakes import BadValue

# Types that have a data_format -> the input that is in it, and those that give sizes of the four axes.
WITH_DATA_FORMAT = {
    **dict.fromkeys(("Conv2D", "DepthwiseConv2dNative", "MaxPool", "AvgPool", "BiasAdd"), (0, ())),
    **dict.fromkeys(("FusedBatchNorm", "FusedBatchNormV2", "FusedBatchNormV3"), (0, ())),
    **dict.fromkeys(("SpaceToDepth", "DepthToSpace"), (0, ())),
    "MaxPoolV2": (0, (1, 2)),
    "Conv2DBackpropInput": (2, (0,)),
}
Rule = Callable[["TensorLayouts", tf.NodeDef], "int | None"]
_ELEMENTWISE = """
    Identity StopGradient PreventGradient CheckNumerics Snapshot Cast Neg Abs Sign Square Sqrt Rsqrt Reciprocal Inv Exp
    Log Log1p Erf Relu Relu6 LeakyRelu Elu Selu Softplus Softsign Sigmoid Tanh FakeQuantWithMinMaxArgs
    FakeQuantWithMinMaxVars Add AddV2 AddN Sub Mul MulNoNan Div RealDiv DivNoNan Pow SquaredDifference Maximum Minimum
    ClipByValue Greater GreaterEqual Less LessEqual Select SelectV2 Switch
"""
TO_LAST = (0, 2, 3, 1)  # axis i of NHWC is axis TO_LAST[i] of NCHW
TO_FIRST = (0, 3, 1, 2)
AXIS_IN_LAST = TO_FIRST  # axis i of NCHW is axis AXIS_IN_LAST[i] of NHWC


def channels_last(graph: Graph) -> Graph:
    """Turns a graph in NCHW into one in NHWC that computes the same.

    Operations with a data_format, and what is computed from them element by element or axis by axis,
    keep their names, their tensors becoming `[N, h, w, K]`. What must have NCHW (a Reshape before a fully
    connected layer) reads it through a Transpose, and so do the first operations if the images are NCHW:
    placeholders and weights stay as they are. Functions in the library stay too.

    Args:
        graph: of a classifier, without the operations of its training.

    Returns:
        Another graph; `graph` itself if none of its nodes is in NCHW and no convolution between Transposes.

    Raises:
        ValueError: an operation in a layout that has the channels first and no known counterpart: NCDHW, say.
    """
    if not any(is_channels_first(node) for node in graph.graph_def.node) and not _has_wrapped_convolutions(graph):
        return graph
    layouts = TensorLayouts(graph)
    for node in graph.topological:
        _convert(layouts, layouts.rewriting.copy(node))
    return layouts.rewriting.finished()


def _has_wrapped_convolutions(graph: Graph) -> bool:
    nodes, values = graph.graph_def.node, graph.constants
    transposes = (node for node in nodes if node.op == "Transpose")
    orders = {f"{node.name}:0": tuple(values.get(data_inputs(node)[1], ())) for node in transposes}
    convolutions = (node for node in nodes if node.op in ("Conv2D", "DepthwiseConv2dNative"))
    to_last = any(orders.get(data_inputs(node)[0]) == TO_LAST for node in convolutions)
    return to_last and TO_FIRST in orders.values()


def _convert(layouts: TensorLayouts, node: tf.NodeDef) -> None:
    rule = with_data_format if is_channels_first(node) else RULES.get(node.op)
    outputs = rule(layouts, node) if rule else None
    if outputs is None:
        inputs = data_inputs(node)
        node.input[: len(inputs)] = [layouts.as_first(tensor) for tensor in inputs]
    layouts.last.update(f"{node.name}:{index}" for index in range(outputs or 0))


def format_of(node: tf.NodeDef) -> str:
    """The data_format of a node, or an empty string."""
    return node.attr["data_format"].s.decode() if "data_format" in node.attr else ""


def is_channels_first(node: tf.NodeDef) -> bool:
    """Whether the node is of a type and in a data_format with the channels before height and width."""
    return format_of(node).startswith(("NC", "CHANNELS_FIRST"))


def with_data_format(layouts: TensorLayouts, node: tf.NodeDef) -> int:
    """A node in NCHW, now in NHWC.

    Raises:
        ValueError: another layout or rank, or a type that is not in `WITH_DATA_FORMAT`.
    """
    inputs = data_inputs(node)
    images, sizes = WITH_DATA_FORMAT.get(node.op, (0, ()))
    rank = layouts.rank(inputs[images]) if inputs else None
    if node.op not in WITH_DATA_FORMAT or format_of(node) != "NCHW" or rank not in (None, 4):
        of_rank = f" with an input of rank {rank}" if rank not in (None, 4) else ""
        raise BadValue(
            f"{node.name!r} is a {node.op} in {format_of(node)}{of_rank}, which cannot be turned into NHWC; what can, "
            f"in NCHW and of rank 4: {', '.join(WITH_DATA_FORMAT)}"
        )
    node.attr["data_format"].s = b"NHWC"
    node.input[images] = layouts.as_last(inputs[images])
    for index in sizes:
        node.input[index] = layouts.per_axis(inputs[index])
    _permute_attributes(node)
    return 1


def _permute_attributes(node: tf.NodeDef) -> None:
    for name in ("strides", "dilations", "ksize"):
        if name in node.attr:
            values = node.attr[name].list.i
            values[:] = [values[axis] for axis in TO_LAST]
    if "explicit_paddings" in node.attr and node.attr["explicit_paddings"].list.i:
        paddings = node.attr["explicit_paddings"].list.i  # before and after, axis by axis
        paddings[:] = [paddings[2 * axis + side] for axis in TO_LAST for side in (0, 1)]


def _elementwise(layouts: TensorLayouts, node: tf.NodeDef) -> int | None:
    inputs = data_inputs(node)
    if not layouts.last.intersection(inputs):
        return None
    operands = [layouts.as_operand(tensor) for tensor in inputs]
    if any(operand is None for operand in operands):
        return None
    node.input[: len(operands)] = operands
    return 2 if node.op == "Switch" else 1


def _merge(layouts: TensorLayouts, node: tf.NodeDef) -> int | None:
    """Of a condition's branches; what comes back from the end of a loop is not known yet and so not NHWC."""
    return 1 if layouts.last.issuperset(data_inputs(node)) else None


def _tuple(layouts: TensorLayouts, node: tf.NodeDef) -> int | None:
    """IdentityN: its outputs are its inputs, so all must be of rank 4."""
    inputs = data_inputs(node)
    if any(layouts.rank(tensor) != 4 for tensor in inputs) or _elementwise(layouts, node) is None:
        return None
    node.input[: len(inputs)] = [layouts.as_last(tensor) for tensor in inputs]
    return len(inputs)


def _along_axis(first: int, last: int | None, axis: int) -> Rule:
    """For types whose inputs `first` to `last` are joined or split along the axis that input `axis` names."""

    def rule(layouts: TensorLayouts, node: tf.NodeDef) -> int | None:
        inputs = data_inputs(node)
        joined = range(len(inputs))[first:last]
        if not layouts.last.intersection(inputs) or layouts.axes(inputs[axis]) is None:
            return None
        for index in joined:
            node.input[index] = layouts.as_last(inputs[index])
        node.input[axis % len(inputs)] = layouts.axes_in_last(inputs[axis])
        return node.attr["num_split"].i if "num_split" in node.attr else 1

    return rule


def _reduction(layouts: TensorLayouts, node: tf.NodeDef) -> int | None:
    """Without keep_dims, what is left must be in the same order in both layouts."""
    inputs = data_inputs(node)
    axes = layouts.axes(inputs[1]) if inputs[0] in layouts.last else None
    keep = "keep_dims" in node.attr and node.attr["keep_dims"].b
    if axes is None or not (keep or 1 in axes or {2, 3} <= set(axes)):
        return None
    node.input[1] = layouts.axes_in_last(inputs[1])
    return 1 if keep else 0


def _padding(layouts: TensorLayouts, node: tf.NodeDef) -> int | None:
    inputs = data_inputs(node)
    if inputs[0] not in layouts.last:
        return None
    node.input[1] = layouts.per_axis(inputs[1])
    return 1


def _squeeze(layouts: TensorLayouts, node: tf.NodeDef) -> int | None:
    axes = node.attr["squeeze_dims"].list.i if "squeeze_dims" in node.attr else ()
    if data_inputs(node)[0] not in layouts.last or {axis % 4 for axis in axes} != {2, 3}:
        return None
    node.attr["squeeze_dims"].list.i[:] = [1, 2]
    return 0


def _transpose(layouts: TensorLayouts, node: tf.NodeDef) -> int | None:
    """The graph's own way from one layout to the other: no way any more."""
    tensor, permutation = data_inputs(node)
    order = tuple(layouts.axes(permutation) or ())
    if order != (TO_LAST if tensor in layouts.last else TO_FIRST):
        return None
    node.op = "Identity"
    del node.input[1], node.attr["Tperm"]
    return 0 if order == TO_LAST else 1


RULES: dict[str, Rule] = {
    **dict.fromkeys(_ELEMENTWISE.split(), _elementwise),
    **dict.fromkeys(("Mean", "Sum", "Max", "Min", "Prod"), _reduction),
    **dict.fromkeys(("Pad", "PadV2", "MirrorPad"), _padding),
    "IdentityN": _tuple,
    "Merge": _merge,
    "ConcatV2": _along_axis(0, -1, -1),
    "Concat": _along_axis(1, None, 0),
    "Split": _along_axis(1, None, 0),
    "SplitV": _along_axis(0, 1, 2),
    "Squeeze": _squeeze,
    "Transpose": _transpose,
}


class TensorLayouts:
    """What each rule of the conversion asks: a tensor's layout, its version in the other, its rank.

    Tensors are named as of `tensor_name`. A tensor of rank 4 is either as it was, NCHW in what is to be
    converted, or in `last`: NHWC under its own name. The other version is a Transpose, one for all readers.

    Attributes:
        rewriting: the new graph.
        constants: tensor -> value of the constants that are small.
        last: tensors that are NHWC in the new graph and were NCHW.
    """

    def __init__(self, graph: Graph) -> None:
        self.rewriting = Rewriting(graph)
        self.constants = graph.constants
        self.last: set[str] = set()
        self._shapes = graph.inferred
        self._versions: dict[str, str] = {}
        self._permutations: dict[tuple[int, ...], str] = {}

    def shape(self, tensor: str) -> list[int | None] | None:
        """The shape that the tensor has in the graph as it was; None is an unknown rank."""
        shape = self._shapes.get_tensor_by_name(tensor).shape
        return None if shape.ndims is None else shape.as_list()

    def rank(self, tensor: str) -> int | None:
        """Number of axes, if known."""
        return self._shapes.get_tensor_by_name(tensor).shape.ndims

    def as_first(self, tensor: str) -> str:
        """The tensor as it was: NCHW, if it has rank 4."""
        return self._transposed(tensor, TO_FIRST) if tensor in self.last else tensor

    def as_last(self, tensor: str) -> str:
        """The tensor of rank 4 in NHWC."""
        return tensor if tensor in self.last else self._transposed(tensor, TO_LAST)

    def as_operand(self, tensor: str) -> str | None:
        """What broadcasts against NHWC as `tensor` did against NCHW; None if that is not known.

        One number is what it was; `[C, H, W]`, `[C, 1, 1]` say, becomes `[H, W, C]`.
        """
        shape = self.shape(tensor)
        if tensor in self.last or (shape is not None and len(shape) <= 4 and all(size == 1 for size in shape)):
            return tensor
        if shape is None or len(shape) not in (3, 4):
            return None
        return self.as_last(tensor) if len(shape) == 4 else self._transposed(tensor, (1, 2, 0))

    def per_axis(self, tensor: str) -> str:
        """Sizes or paddings of the four axes, `[4]` or `[4, 2]`, in the order of NHWC."""
        name = f"{node_name(tensor)}/channels_last"
        if tensor in self.constants:
            return self.rewriting.constant(name, self.constants[tensor][list(TO_LAST)])
        layouts = {"src_format": tf.AttrValue(s=b"NCHW"), "dst_format": tf.AttrValue(s=b"NHWC")}
        return self.rewriting.add("DataFormatVecPermute", name, [tensor], T=self._dtype(tensor), **layouts)

    def axes(self, tensor: str) -> list[int] | None:
        """Axes that a small constant names, of NCHW, none of them negative; None if it is not a constant."""
        value = self.constants.get(tensor)
        return None if value is None else [int(axis) % 4 for axis in np.ravel(value)]

    def axes_in_last(self, tensor: str) -> str:
        """A constant that names the same axes of NHWC."""
        value = self.constants[tensor]
        mapped = np.asarray(AXIS_IN_LAST, value.dtype)[value % 4]
        return self.rewriting.constant(f"{node_name(tensor)}/channels_last", np.asarray(mapped))

    def _dtype(self, tensor: str) -> tf.AttrValue:
        return type_of(self._shapes.get_tensor_by_name(tensor).dtype)

    def _transposed(self, tensor: str, permutation: Sequence[int]) -> str:
        if tensor not in self._versions:
            order = tuple(permutation)
            if order not in self._permutations:
                self._permutations[order] = self.rewriting.constant("layout/order", np.array(order, np.int32))
            name = f"{node_name(tensor)}/{'channels_first' if order == TO_FIRST else 'channels_last'}"
            types = {"T": self._dtype(tensor), "Tperm": type_of(tf.int32)}
            inputs = [tensor, self._permutations[order]]
            self._versions[tensor] = self.rewriting.add("Transpose", name, inputs, **types)
        return self._versions[tensor]
