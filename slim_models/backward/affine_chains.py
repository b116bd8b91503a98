"""Scalings and shifts by parameters, followed backwards and forwards through a graph."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import tensorflow.compat.v1 as tf

SCALINGS = {"Mul", "RealDiv", "Neg"}
SUMS = {"Add", "AddV2", "AddN", "Sub", "BiasAdd"}
_SAME = {"Identity", "IdentityN", "Cast", "Snapshot"}
_PARAMETERS = {"Const", "VariableV2", "Variable", "VarHandleOp", "ReadVariableOp"}
_MOST_ELEMENTS = 1 << 16  # a scale or a shift has no more; kernels are not read


def source(tensor: tf.Tensor) -> tf.Tensor:
    """What a tensor is a copy of."""
    while tensor.op.type in _SAME:
        tensor = tensor.op.inputs[tensor.value_index]
    return tensor


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


def forwards(op: tf.Operation, through: set[str]) -> Iterator[tf.Operation]:
    """The operations that read what `op` gives, copied or changed by `through` (with parameters only)."""
    waiting, seen = list(op.outputs), set()
    while waiting:
        for user in waiting.pop().consumers():
            if user in seen:
                continue
            seen.add(user)
            if user.type in _SAME:
                waiting.extend(user.outputs[:1])
                continue
            yield user
            if user.type in through and len(signals(user)) == 1:
                waiting.extend(user.outputs)
