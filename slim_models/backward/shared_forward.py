"""What backward passes read of the forward pass: fed with it, they run without the forward pass.

The signals of K classes of one picture differ, the activations they pass through do not. A graph can be
fed at any tensor, so one forward pass serves all.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import tensorflow.compat.v1 as tf

from slim_models.backward.walks import depending, operations_between, reached


def read_by_backward(images: tf.Tensor, logits: tf.Tensor, tensors: Sequence[tf.Tensor]) -> list[tf.Tensor]:
    """The images, and tensors between them and the logits, that others are computed from.

    Args:
        images: of a network, `[N, H, W, 3]`.
        logits: of that network, `[N, C]`.
        tensors: what is computed from them: gradients, say.

    Returns:
        Tensors `[N, ...]`, each once. Whoever feeds them all has `tensors` computed without any operation
        before them. What of the forward pass has no axis N (a shape, say) is computed from those that have;
        the images themselves are there if no more than their shape is read. (Feeding shapes in place of
        tensors of which nothing else is read would save memory, but TensorFlow 2.12's optimiser makes
        constants of shapes that wait for the forward pass.)
    """
    forward = operations_between(images, logits) & depending([images], but=())
    found: dict[str, tf.Tensor] = {}

    def before(of: Sequence[tf.Tensor]) -> Iterator[tf.Operation]:
        for tensor in of:
            if tensor is images or (tensor.op in forward and _is_batch(tensor)):
                found[tensor.name] = tensor
            else:
                yield tensor.op

    reached(before(tensors), lambda op: before(op.inputs))
    return [found[name] for name in sorted(found)]


def _is_batch(tensor: tf.Tensor) -> bool:
    """Whether the first axis is N: the one size that no graph of ours fixes."""
    return bool(tensor.shape.ndims) and tensor.shape.as_list()[0] is None
