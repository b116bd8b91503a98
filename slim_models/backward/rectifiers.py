"""Which nonlinearities guided backprop and deconvnet are not defined for.

Both say what a rectifier lets back (Springenberg et al. 2015, fig. 1): they are defined for Relu and Relu6.
An operation of another nonlinearity would pass the true gradient, and the picture would be neither guided
backprop nor the gradient. So would a Relu or Relu6 that is only a part of something else: the gate of a
HardSwish, half of a PReLU.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import tensorflow.compat.v1 as tf

from slim_models.backward.walks import SAME, depending, reached, readers, signal_path, source

_SMOOTH = {"Sigmoid", "Tanh", "Softplus", "Erf", "Erfc"}
_ACTIVATIONS = {"LeakyRelu", "Elu", "Selu", "Softsign", "Expm1", "Sin", "Cos", "Atan", "Abs", "ClipByValue"} | _SMOOTH
_HIDDEN = _ACTIVATIONS | {"Relu", "Relu6", "Maximum", "Minimum", "Select", "SelectV2", "Exp"}
# What these call is a graph of its own, whose ReLUs no rule reaches.
_CALLS = {"PartitionedCall", "StatefulPartitionedCall", "SymbolicGradient"} | {
    prefix + name for prefix in ("", "Stateless") for name in ("If", "While", "Case")
}
_GATES = {"Sigmoid": "the gate of a Swish", "Erf": "the gate of a GELU", "Erfc": "the gate of a GELU"}
SCALINGS = {"Mul", "RealDiv", "Neg"}
SUMS = {"Add", "AddV2", "AddN", "Sub", "BiasAdd"}
_PARAMETERS = {"Const", "VariableV2", "Variable", "VarHandleOp", "ReadVariableOp"}
_MOST_ELEMENTS = 1 << 16  # a scale or a shift has no more; kernels are not read


class Finding(NamedTuple):
    """An operation that is a nonlinearity, or a part of one, other than the rectifiers Relu and Relu6.

    Attributes:
        operation: the operation.
        kind: what it is, with its article: `a LeakyRelu`, `the gate of a HardSwish`.
    """

    operation: tf.Operation
    kind: str


def other_nonlinearities(operations: Collection[tf.Operation], changing: Collection[tf.Operation]) -> list[Finding]:
    """Finds what is a nonlinearity and no rectifier.

    Linear operations, products, powers, normalisation, pooling and Softmax are none of it, nor is a maximum
    that keeps a norm from zero (`tf.nn.l2_normalize`).

    Args:
        operations: those that the signal passes through (`signal_path`).
        changing: all operations that depend on what the signal is passed back to (`depending`): a choice that
            is the same for every picture is linear.
    """
    calls = [op for op in operations if op.type in _CALLS]
    # Writing the graph out takes its time, and is the public way to its functions.
    functions = {f.signature.name: f for f in calls[0].graph.as_graph_def().library.function} if calls else {}
    kinds = ((op, _kind_of_call(op, functions) if op in calls else _kind(op, changing)) for op in operations)
    return [Finding(op, kind) for op, kind in kinds if kind]


def undefined(ys: tf.Tensor, xs: Sequence[tf.Tensor]) -> str | None:
    """Why the rules `guided` and `deconvnet` are not defined between `xs` and `ys`; None if they are."""
    findings = other_nonlinearities(signal_path(ys, xs), depending(xs))
    if not findings:
        return None
    kinds = [finding.kind for finding in findings]
    counts = ", ".join(f"{kind} ({kinds.count(kind)})" for kind in dict.fromkeys(kinds))
    return (
        f"{findings[0].operation.name!r} is {kinds[0]}, the first of {len(findings)} operation(s) of other "
        f"nonlinearities between: {counts}. Guided backprop and deconvnet are defined for Relu and Relu6 only "
        "(Springenberg et al. 2015, fig. 1); Grad-CAM and the rule 'backprop', the true gradient, still work"
    )


def _kind(op: tf.Operation, changing: Collection[tf.Operation]) -> str | None:
    named = f"{'an' if op.type[0] in 'AEIO' else 'a'} {op.type}"
    if op.type in ("Relu", "Relu6"):
        return part_of_rectifier(op)
    if op.type in _SMOOTH:
        return part_of_smooth(op) or named
    if op.type == "Mul" and any(_is_comparison(tensor) and tensor.op in changing for tensor in op.inputs):
        return "a product with a comparison"
    return named if op.type in _ACTIVATIONS or _is_choice(op, changing) or _is_exponential(op) else None


def _kind_of_call(op: tf.Operation, functions: Mapping[str, Any]) -> str | None:
    """A call matters for the activations in the function, and in those that this calls."""
    waiting, seen, hidden = [op.node_def], set[str](), set[str]()
    while waiting:
        names = {value.func.name for value in waiting.pop().attr.values() if value.HasField("func")}
        for name in (names & functions.keys()) - seen:
            seen.add(name)
            waiting.extend(functions[name].node_def)
            hidden.update(node.op for node in functions[name].node_def if node.op in _HIDDEN)
    return f"a call of a function with {', '.join(sorted(hidden))} inside, where no rule reaches" if hidden else None


def _is_choice(op: tf.Operation, changing: Collection[tf.Operation]) -> bool:
    if op.type in ("Select", "SelectV2"):
        return op.inputs[0].op in changing
    return op.type == "Minimum" or (op.type == "Maximum" and not _keeps_from_zero(op))


def _keeps_from_zero(op: tf.Operation) -> bool:
    """Whether it is the maximum of `x / sqrt(max(sum(x^2), epsilon))`."""
    others = [source(tensor).op for tensor in signals(op)]
    inside = [source(o.inputs[0]).op if o.type == "Sqrt" else o for o in others]
    return len(inside) == 1 and inside[0].type in ("Sum", "Mean") and source(inside[0].inputs[0]).op.type == "Square"


def _is_exponential(op: tf.Operation) -> bool:
    """A softmax in primitives is `exp(x) / sum(exp(x))`."""
    return op.type == "Exp" and not any(user.type == "Sum" for user in forwards(op, set()))


def _is_comparison(tensor: tf.Tensor) -> bool:
    cast = source(tensor, {"Identity"}).op
    return cast.type == "Cast" and cast.inputs[0].dtype.is_bool


# Through these the other half of a PReLU goes: -alpha * relu(-x), alpha * (x - |x|) / 2, alpha * min(x, 0).
_HALVES = {"Relu", "Relu6", "Abs", "Minimum", "Maximum", "Sub"} | SCALINGS


def part_of_rectifier(op: tf.Operation) -> str | None:
    """What a Relu or Relu6 is a part of; None if it is a rectifier of its own."""
    if op.type == "Relu6" and _multiplies(op, op.inputs[0]):
        return "the gate of a HardSwish"
    if op.type == "Relu6" and (_is_shifted_by_three(op) or _is_divided_by_six(op)):
        return "a hard sigmoid"
    return "half of a PReLU" if _is_half(op) else None


def part_of_smooth(op: tf.Operation) -> str | None:
    """What a Sigmoid, Tanh, Softplus, Erf or Erfc is a part of; None if it is an activation of its own."""
    if op.type == "Tanh":
        before = source(op.inputs[0]).op
        if before.type == "Softplus" and _multiplies(op, before.inputs[0]):
            return "the gate of a Mish"
        return "the gate of a GELU" if _is_of_a_cubic(op) else None
    if op.type == "Softplus":
        gates = (user for user in forwards(op, set()) if user.type == "Tanh")
        return "part of a Mish" if any(_multiplies(gate, op.inputs[0]) for gate in gates) else None
    return _GATES[op.type] if _multiplies(op, op.inputs[0]) else None


def _multiplies(op: tf.Operation, inputs: tf.Tensor) -> bool:
    """Whether what `op` gives, scaled and shifted, is multiplied by `inputs`, scaled and shifted."""
    origins = {tensor.name for tensor in backwards(inputs)}
    products = (user for user in forwards(op, SCALINGS | SUMS) if user.type == "Mul" and len(signals(user)) == 2)
    factors = (factor for product in products for factor in product.inputs)
    return any(tensor.name in origins for factor in factors for tensor in backwards(factor))


def _is_shifted_by_three(op: tf.Operation) -> bool:
    before = source(op.inputs[0]).op
    return before.type in SUMS and has_parameter(before, 3)


def _is_divided_by_six(op: tf.Operation) -> bool:
    return any(
        (user.type == "Mul" and has_parameter(user, 1 / 6)) or (user.type == "RealDiv" and has_parameter(user, 6))
        for user in forwards(op, set())
    )


def _is_of_a_cubic(op: tf.Operation) -> bool:
    """tanh(sqrt(2 / pi) * (x + 0.044715 x^3)), Hendrycks & Gimpel 2016."""
    last = backwards(op.inputs[0])[-1].op
    coefficients = {"Mul", "AddV2", "Add"}
    terms = [source(term).op for term in last.inputs] if last.type in coefficients else []
    return any(has_parameter(o, 0.044715) for term in terms for o in (term, *(source(t).op for t in term.inputs)))


def _is_half(op: tf.Operation) -> bool:
    """Whether it is added to a multiple of what it reads: relu(x) - alpha * relu(-x) (He et al. 2015, eq. 1)."""
    origin = source(op.inputs[0])
    if origin.op.type == "Neg" or (origin.op.type == "Mul" and has_parameter(origin.op, -1)):
        origin = source(signals(origin.op)[0])
    meeting = {user for user in forwards(op, SCALINGS) if user.type in SUMS and len(signals(user)) > 1}
    return bool(meeting) and not meeting.isdisjoint(_beside(op, origin))


def _beside(op: tf.Operation, origin: tf.Tensor) -> set[tf.Operation]:
    """The operations that `origin` reaches through scalings and halves other than `op`."""

    def others(tensors: Iterable[tf.Tensor]) -> list[tf.Operation]:
        return [user for user in readers(tensors) if user is not op]

    return set(reached(others([origin]), lambda o: others(o.outputs) if o.type in _HALVES | {"Identity"} else []))


def is_parameter(tensor: tf.Tensor) -> bool:
    """Whether a tensor is a stored one, or a scaling, shift or reshaping of stored ones."""
    op = source(tensor).op
    return op.type in _PARAMETERS or (
        op.type in SCALINGS | SUMS | {"Reshape", "ExpandDims", "Rsqrt"} and all(map(is_parameter, op.inputs))
    )


def signals(op: tf.Operation) -> list[tf.Tensor]:
    """The inputs of an operation that are no parameters."""
    return [tensor for tensor in op.inputs if not is_parameter(tensor)]


def has_parameter(op: tf.Operation, value: float) -> bool:
    """Whether one of an operation's inputs is that number everywhere, within float16's rounding."""
    return any(_is(source(tensor), value) for tensor in op.inputs)


def _is(tensor: tf.Tensor, value: float) -> bool:
    if tensor.op.type != "Const" or not tensor.dtype.is_floating or tensor.shape.num_elements() > _MOST_ELEMENTS:
        return False
    array = np.asarray(tf.get_static_value(tensor), np.float64)
    return array.size > 0 and bool(np.allclose(array, value, rtol=2e-3, atol=0))


def backwards(tensor: tf.Tensor) -> list[tf.Tensor]:
    """A tensor, what it is scaled or shifted from, and so on as far as that goes."""
    chain = [source(tensor)]
    while chain[-1].op.type in SCALINGS | SUMS and len(signals(chain[-1].op)) == 1:
        chain.append(source(signals(chain[-1].op)[0]))
    return chain


def forwards(op: tf.Operation, through: set[str]) -> list[tf.Operation]:
    """The operations that read what `op` gives, copied or changed by `through` (with parameters only)."""

    def onwards(user: tf.Operation) -> list[tf.Operation]:
        if user.type in SAME:
            return readers(user.outputs[:1])
        return readers(user.outputs) if user.type in through and len(signals(user)) == 1 else []

    return [user for user in reached(readers(op.outputs), onwards) if user.type not in SAME]
