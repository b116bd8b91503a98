"""The operations that a gradient passes through on its way from a tensor back to others."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import tensorflow.compat.v1 as tf

# Nothing passes back through these, whatever their type.
_CUT = {"StopGradient", "PreventGradient", "ZerosLike", "OnesLike", "Sign", "Floor", "Ceil", "Round", "Rint"}
# Of these only the sizes of a tensor come out.
_SIZES = {"Shape", "ShapeN", "Size", "Rank", "ZerosLike", "OnesLike"}


def signal_path(ys: tf.Tensor, xs: Sequence[tf.Tensor]) -> list[tf.Operation]:
    """The operations through which the gradient of `ys` with respect to any of `xs` passes, in the graph's order.

    They depend on an x and lead to `ys` through tensors that have a gradient: arithmetic of integers, shapes
    and comparisons, and branches that no x enters (constants, the parameters of a batch norm) are not among
    them. The operations that compute the `xs` are not either.
    """
    after = _reached(xs, lambda op: [] if op.type in _CUT else op.outputs, lambda t: t.consumers(), _has_gradient)
    before = _reached([ys], lambda op: [] if op.type in _CUT else op.inputs, lambda t: [t.op], _has_gradient)
    between = after & before
    return [op for op in ys.graph.get_operations() if op in between]


def depending(xs: Iterable[tf.Tensor]) -> set[tf.Operation]:
    """The operations whose results depend on the values, not only on the sizes, of any of `xs`."""
    return _reached(xs, lambda op: [] if op.type in _SIZES else op.outputs, lambda t: t.consumers(), lambda _: True)


def _reached(
    tensors: Iterable[tf.Tensor],
    tensors_of: Callable[[tf.Operation], Iterable[tf.Tensor]],
    operations_of: Callable[[tf.Tensor], Iterable[tf.Operation]],
    follows: Callable[[tf.Tensor], bool],
) -> set[tf.Operation]:
    waiting, seen = list(tensors), set()
    while waiting:
        for operation in operations_of(waiting.pop()):
            if operation not in seen:
                seen.add(operation)
                waiting.extend(filter(follows, tensors_of(operation)))
    return seen


def _has_gradient(tensor: tf.Tensor) -> bool:
    dtype = tensor.dtype.base_dtype
    return not (dtype.is_integer or dtype.is_bool or dtype.is_quantized or dtype == tf.string)
