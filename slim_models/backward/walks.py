"""Walks through a graph: what tensors lead to, what they depend on, and the way of a gradient between them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Hashable, Iterable, Sequence
from typing import TypeVar

import tensorflow.compat.v1 as tf

T = TypeVar("T", bound=Hashable)

# Nothing passes back through these, whatever their type.
_CUT = {"StopGradient", "PreventGradient", "ZerosLike", "OnesLike", "Sign", "Floor", "Ceil", "Round", "Rint"}
# Of these only the sizes of a tensor come out.
_SIZES = {"Shape", "ShapeN", "Size", "Rank", "ZerosLike", "OnesLike"}
# These hold a variable.
VARIABLES = ("VariableV2", "Variable", "VarHandleOp", "AutoReloadVariable")
# These hand on every number as it is.
SAME = {"Identity", "IdentityN", "Cast", "Snapshot"}


def reached(starts: Iterable[T], onwards: Callable[[T], Iterable[T]]) -> list[T]:
    """Whatever is reached from `starts` step by step, the starts among it; each once, in the order of finding."""
    found = dict.fromkeys(starts)
    waiting = list(found)
    while waiting:
        for item in onwards(waiting.pop()):
            if item not in found:
                found[item] = None
                waiting.append(item)
    return list(found)


def source(tensor: tf.Tensor, through: Collection[str] = frozenset(SAME)) -> tf.Tensor:
    """What a tensor is a copy of.

    Args:
        tensor: where to begin.
        through: types of operations that count as copying; each has one output, or one for each input.
    """
    while tensor.op.type in through:
        tensor = tensor.op.inputs[tensor.value_index]
    return tensor


def readers(tensors: Iterable[tf.Tensor]) -> list[tf.Operation]:
    """The operations that read any of `tensors`."""
    return [operation for tensor in tensors for operation in tensor.consumers()]


def signal_path(ys: tf.Tensor, xs: Sequence[tf.Tensor]) -> list[tf.Operation]:
    """The operations through which the gradient of `ys` with respect to any of `xs` passes, in the graph's order.

    They depend on an x and lead to `ys` through tensors that have a gradient: arithmetic of integers, shapes
    and comparisons, and branches that no x enters (constants, the parameters of a batch norm) are not among
    them. The operations that compute the `xs` are not either.
    """
    after = reached(readers(xs), lambda op: readers(_differentiable(op, op.outputs)))
    before = reached([ys.op], lambda op: [tensor.op for tensor in _differentiable(op, op.inputs)])
    between = set(after) & set(before)
    return [op for op in ys.graph.get_operations() if op in between]


def depending(xs: Iterable[tf.Tensor], but: Collection[str] = frozenset(_SIZES)) -> set[tf.Operation]:
    """The operations whose results depend on any of `xs`: on the values, not only on the sizes.

    Args:
        xs: tensors of one graph.
        but: types of operations that lead no further.
    """
    return set(reached(readers(xs), lambda op: [] if op.type in but else readers(op.outputs)))


def operations_between(x: tf.Tensor, y: tf.Tensor) -> set[tf.Operation]:
    """The operations that `y` depends on, searched backwards as far as `x`."""
    start = [] if y is x else [y.op]
    return set(reached(start, lambda op: [tensor.op for tensor in op.inputs if tensor is not x]))


def _differentiable(op: tf.Operation, tensors: Iterable[tf.Tensor]) -> list[tf.Tensor]:
    return [] if op.type in _CUT else [tensor for tensor in tensors if _has_gradient(tensor)]


def _has_gradient(tensor: tf.Tensor) -> bool:
    dtype = tensor.dtype.base_dtype
    return not (dtype.is_integer or dtype.is_bool or dtype.is_quantized or dtype == tf.string)
