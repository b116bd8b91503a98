"""Which tensor of somebody's graph takes the pictures."""

from __future__ import annotations

from collections.abc import Sequence

import tensorflow.compat.v1 as tf

from slim_models.signal_path import depending
from slim_models.tensors import CONVOLUTIONS, PLACEHOLDERS, Say, shape_of, tensor_named, text_of

# Where a graph that was never frozen has its pictures from.
_PIPELINES = ("IteratorGetNext", "OneShotIterator", "QueueDequeueV2", "QueueDequeueManyV2", "QueueDequeueUpToV2")


def find_images(graph: tf.Graph, name: str | None, said: Sequence[str], say: Say) -> tf.Tensor:
    """The tensor that takes the pictures.

    Args:
        graph: a `skeleton`.
        name: the user's word for it, which is final; None looks for it.
        said: names that the file itself gives its inputs (a signature's); where empty, all placeholders.
        say: is told what was guessed.

    Raises:
        KeyError: there is no tensor of that name.
        ValueError: no tensor could be pictures, or several could.
    """
    if name is not None:
        return tensor_named(graph, name)
    tensors = [tensor_named(graph, word) for word in said] or _outputs(graph, PLACEHOLDERS)
    choices = _of_pictures(tensors) or _of_pictures(_outputs(graph, _PIPELINES))
    reaching = [tensor for tensor in choices if any(op.type in CONVOLUTIONS for op in depending([tensor]))]
    choices = reaching or choices
    if not choices:
        listed = f"its inputs are {_listed(tensors)}" if tensors else "it has no placeholder"
        raise ValueError(f"no input of the graph could be pictures: {listed}; give the tensor's name as images")
    if len(choices) > 1:
        raise ValueError(f"{len(choices)} inputs could be the pictures: {_listed(choices)}; give one's name as images")
    say(f"images: {text_of(choices[0])} (found: the only input that could be pictures)")
    return choices[0]


def _of_pictures(tensors: Sequence[tf.Tensor]) -> list[tf.Tensor]:
    """Those with the shape of pictures; if there are none, those of unknown shape; then encoded pictures."""
    numbers = [
        tensor for tensor in tensors if tensor.dtype.base_dtype.is_floating or tensor.dtype.base_dtype.is_integer
    ]
    pictures = [tensor for tensor in numbers if _has_channels(shape_of(tensor))]
    unknown = [tensor for tensor in numbers if shape_of(tensor) is None and tensor.dtype.base_dtype.is_floating]
    return pictures or unknown or [tensor for tensor in tensors if tensor.dtype.base_dtype == tf.string]


def _has_channels(shape: list[int | None] | None) -> bool:
    return shape is not None and len(shape) == 4 and (shape[-1] in (1, 3, None) or shape[1] in (1, 3, None))


def _outputs(graph: tf.Graph, types: Sequence[str]) -> list[tf.Tensor]:
    return [tensor for op in graph.get_operations() if op.type in types for tensor in op.outputs]


def _listed(tensors: Sequence[tf.Tensor]) -> str:
    return ", ".join(map(text_of, tensors))
