"""How each type of operation follows its inputs from NCHW to NHWC.

A rule changes a node of the new graph, which is a copy of the old one's, and returns how many of its
first outputs are NHWC now; None leaves the node as it was, to read its inputs as they were.
"""

from __future__ import annotations

from collections.abc import Callable

import tensorflow.compat.v1 as tf

from slim_models.graph_defs import data_inputs
from slim_models.tensor_layouts import TO_FIRST, TO_LAST, TensorLayouts

Rule = Callable[[TensorLayouts, tf.NodeDef], "int | None"]


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


_ELEMENTWISE = """
    Identity StopGradient PreventGradient CheckNumerics Snapshot Cast Neg Abs Sign Square Sqrt Rsqrt Reciprocal Inv Exp
    Log Log1p Erf Relu Relu6 LeakyRelu Elu Selu Softplus Softsign Sigmoid Tanh FakeQuantWithMinMaxArgs
    FakeQuantWithMinMaxVars Add AddV2 AddN Sub Mul MulNoNan Div RealDiv DivNoNan Pow SquaredDifference Maximum Minimum
    ClipByValue Greater GreaterEqual Less LessEqual Select SelectV2 Switch
"""

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
