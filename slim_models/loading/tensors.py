"""Tensors of somebody's graph, by name and in words; and what the searches for them have in common."""

from __future__ import annotations

import difflib
from collections.abc import Mapping

import tensorflow.compat.v1 as tf

from slim_models.mistakes import UnknownName

CONVOLUTIONS = ("Conv2D", "DepthwiseConv2dNative", "Conv3D", "_FusedConv2D", "_FusedDepthwiseConv2dNative")


def tensor_named(graph: tf.Graph, name: str, called: Mapping[str, str] | None = None) -> tf.Tensor:
    """A tensor by its name, or that of its operation, `input` for `input:0`.

    Args:
        graph: where it is.
        name: to look for.
        called: name of a tensor -> what the network itself calls it, which the user may have meant.

    Raises:
        KeyError: the graph has none of that name; the message has similar ones.
    """
    full = name if ":" in name else f"{name}:0"
    try:
        return graph.get_tensor_by_name(full)
    except (KeyError, ValueError) as error:
        words = list((called or {}).values())
        names = words + [operation.name for operation in graph.get_operations() if operation.outputs]
        similar = difflib.get_close_matches(name.split(":")[0], names, n=5, cutoff=0.4)
        hint = f"; similar: {', '.join(dict.fromkeys(similar))}" if similar else ""
        hint += f"; its inputs and outputs are {', '.join(words)}" if words else ""
        raise UnknownName(f"the graph has no tensor {name!r}{hint}") from error


def has_tensor(graph: tf.Graph, name: str) -> bool:
    """Whether there is a tensor of that full name."""
    try:
        return graph.get_tensor_by_name(name) is not None
    except (KeyError, ValueError):
        return False


def shape_of(tensor: tf.Tensor) -> list[int | None] | None:
    """A tensor's shape as far as it is known; None if not even its rank is."""
    return None if tensor.shape.ndims is None else tensor.shape.as_list()


def text_of(tensor: tf.Tensor) -> str:
    """A tensor for a message, such as `input:0 float32 [?, 224, 224, 3]`."""
    shape = shape_of(tensor)
    sizes = "of unknown shape" if shape is None else f"[{', '.join('?' if s is None else str(s) for s in shape)}]"
    return f"{tensor.name} {tensor.dtype.base_dtype.name} {sizes}"
