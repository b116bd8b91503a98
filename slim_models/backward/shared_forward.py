"""What backward passes read of the forward pass: fed with it, they run without the forward pass.

The signals of K classes of one picture differ, the activations they pass through do not. A graph can be
fed at any tensor, so one forward pass serves all.
"""

from __future__ import annotations

from collections.abc import Sequence

import tensorflow.compat.v1 as tf

from slim_models.network import Network
from slim_models.relu_gradients import operations_between


def read_by_backward(network: Network, tensors: Sequence[tf.Tensor]) -> list[tf.Tensor]:
    """The images, and tensors between them and the logits, that others are computed from.

    Args:
        network: whose images and logits they are.
        tensors: what is computed from them: gradients, say.

    Returns:
        Tensors `[N, ...]`, each once. Whoever feeds them all has `tensors` computed without any operation
        before them. What of the forward pass has no axis N (a shape, say) is computed from those that have;
        the images themselves are there if no more than their shape is read. (Feeding shapes in place of
        tensors of which nothing else is read would save memory, but TensorFlow 2.12's optimiser makes
        constants of shapes that wait for the forward pass.)
    """
    forward = operations_between(network.images, network.logits) & _operations_after(network.images)
    waiting, seen, found = list(tensors), set(), {}
    while waiting:
        tensor = waiting.pop()
        if tensor is network.images or (tensor.op in forward and _is_batch(tensor)):
            found[tensor.name] = tensor
        elif tensor.op not in seen:
            seen.add(tensor.op)
            waiting.extend(tensor.op.inputs)
    return [found[name] for name in sorted(found)]


def _operations_after(tensor: tf.Tensor) -> set[tf.Operation]:
    waiting, seen = [tensor], set()
    while waiting:
        for operation in waiting.pop().consumers():
            if operation not in seen:
                seen.add(operation)
                waiting.extend(operation.outputs)
    return seen


def _is_batch(tensor: tf.Tensor) -> bool:
    """Whether the first axis is N: the one size that no graph of ours fixes."""
    return bool(tensor.shape.ndims) and tensor.shape.as_list()[0] is None
