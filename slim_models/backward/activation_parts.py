"""What an operation is a part of, where an activation is written as several: HardSwish, Swish, GELU, Mish, PReLU.

Each function takes one operation and says by its neighbours what it is.
"""

from __future__ import annotations

import tensorflow.compat.v1 as tf

from slim_models.affine_chains import SCALINGS, SUMS, backwards, forwards, has_parameter, signals, source

_GATES = {"Sigmoid": "the gate of a Swish", "Erf": "the gate of a GELU", "Erfc": "the gate of a GELU"}
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
    waiting, seen = [origin], set()
    while waiting:
        for user in waiting.pop().consumers():
            if user is not op and user not in seen:
                seen.add(user)
                if user.type in _HALVES | {"Identity"}:
                    waiting.extend(user.outputs)
    return seen
