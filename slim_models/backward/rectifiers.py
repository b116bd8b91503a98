"""Which nonlinearities guided backprop and deconvnet are not defined for.

Both say what a rectifier lets back (Springenberg et al. 2015, fig. 1): they are defined for Relu and Relu6.
An operation of another nonlinearity would pass the true gradient, and the picture would be neither guided
backprop nor the gradient. So would a Relu or Relu6 that is only a part of something else: the gate of a
HardSwish, half of a PReLU.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, NamedTuple

import tensorflow.compat.v1 as tf

from slim_models.activation_parts import part_of_rectifier, part_of_smooth
from slim_models.affine_chains import forwards, signals, source
from slim_models.signal_path import depending, signal_path


class Finding(NamedTuple):
    """An operation that is a nonlinearity, or a part of one, other than the rectifiers Relu and Relu6.

    Attributes:
        operation: the operation.
        kind: what it is, with its article: `a LeakyRelu`, `the gate of a HardSwish`.
    """

    operation: tf.Operation
    kind: str


_SMOOTH = {"Sigmoid", "Tanh", "Softplus", "Erf", "Erfc"}
_ACTIVATIONS = {"LeakyRelu", "Elu", "Selu", "Softsign", "Expm1", "Sin", "Cos", "Atan", "Abs", "ClipByValue"} | _SMOOTH
_HIDDEN = _ACTIVATIONS | {"Relu", "Relu6", "Maximum", "Minimum", "Select", "SelectV2", "Exp"}
# What these call is a graph of its own, whose ReLUs no rule reaches.
_CALLS = {"PartitionedCall", "StatefulPartitionedCall", "SymbolicGradient"} | {
    prefix + name for prefix in ("", "Stateless") for name in ("If", "While", "Case")
}


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
    while tensor.op.type == "Identity":
        tensor = tensor.op.inputs[0]
    return tensor.op.type == "Cast" and tensor.op.inputs[0].dtype.is_bool
