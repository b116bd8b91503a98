"""What backward passes read of the forward pass: fed with it, they run without the forward pass.

The signals of K classes of one picture differ, the activations they pass through do not. A graph can be
fed at any tensor, so one forward pass serves all: where what is read is proved to be one row a picture,
that row, repeated, is what K times that picture would have given.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import tensorflow.compat.v1 as tf

from slim_models.backward.rows import one_row_a_picture
from slim_models.backward.walks import depending, operations_between, reached


def read_by_backward(
    images: tf.Tensor, logits: tf.Tensor, tensors: Sequence[tf.Tensor], activations: Sequence[tf.Tensor] = ()
) -> list[tf.Tensor] | None:
    """The images, and tensors between them and the logits, that others are computed from.

    Args:
        images: of a network, `[N, H, W, 3]`.
        logits: of that network, `[N, C]`.
        tensors: what is computed from them: gradients, say.
        activations: of that network, `[N, ...]`.

    Returns:
        Tensors `[N, ...]`, each once; None if it is not proved that the logits and activations of a picture are
        the same beside others. Whoever feeds all of them, a row a picture, has `tensors` computed from nothing
        else. What of the forward pass is not proved to be such rows (shapes, positions in the batch) and what is
        whole numbers is computed from those that are; the images themselves are there if no more than their
        shape is read. (Feeding shapes in place of tensors of which nothing else is read would save memory, but
        TensorFlow 2.12's optimiser makes constants of shapes that wait for the forward pass.)
    """
    is_rows = one_row_a_picture(images, [logits, *activations])
    if not all(map(is_rows, [logits, *activations])):
        return None
    forward = operations_between(images, logits) & depending([images], but=())
    found: dict[str, tf.Tensor] = {}

    def before(of: Sequence[tf.Tensor]) -> Iterator[tf.Operation]:
        for tensor in of:
            if tensor is images or (tensor.op in forward and tensor.dtype.is_floating and is_rows(tensor)):
                found[tensor.name] = tensor
            else:
                yield tensor.op

    reached(before(tensors), lambda op: before(op.inputs))
    return [found[name] for name in sorted(found)]
