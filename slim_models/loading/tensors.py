"""Tensors of somebody's graph, by name and in words; and what the searches for them have in common."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping

import tensorflow.compat.v1 as tf

from slim_models.mistakes import UnknownName

CONVOLUTIONS = ("Conv2D", "DepthwiseConv2dNative", "Conv3D", "_FusedConv2D", "_FusedDepthwiseConv2dNative")

_ALIKE = 0.7  # share of letters: names that are less so have nothing to do with what was meant


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
        similar = _similar(name.split(":")[0], dict.fromkeys(names))
        hint = f"; similar: {', '.join(similar)}" if similar else ""
        hint += f"; its inputs and outputs are {', '.join(words)}" if words else ""
        raise UnknownName(f"the graph has no tensor {name!r}{hint}") from error


def _similar(name: str, names: Iterable[str]) -> list[str]:
    """At most five names that end in this one, or else are spelled like it, or end in a word that is."""
    ends = {full: full.rpartition("/")[2] for full in names}
    same = [full for full, end in ends.items() if end == name]
    alike = difflib.get_close_matches(name, ends, n=5, cutoff=_ALIKE)
    by_end = difflib.get_close_matches(name.rpartition("/")[2], {*ends.values()}, n=5, cutoff=_ALIKE)
    return list(dict.fromkeys([*same, *alike, *(full for word in by_end for full in ends if ends[full] == word)]))[:5]


def outputs_of_scope(graph: tf.Graph, within: str, scope: str) -> list[tf.Tensor]:
    """What a layer or a scope hands on, by the name that the user's program gave it.

    Keras' and TensorFlow's own numbers behind a name, `last_conv_1`, may be left out; where that could mean several
    scopes, those of all are found.

    Args:
        graph: where it is.
        within: the scope that all of the user's operations are in; ends in a slash.
        scope: its name, or the last parts of it.

    Returns:
        Tensors `[N, h, w, K]` that are made in the scope and read outside of it.
    """
    pattern = re.compile(rf"(?:.*/)?{re.escape(scope)}(?:_\d+)?/")
    found = []
    for operation in graph.get_operations():
        match = pattern.match(operation.name.removeprefix(within))
        if match is None or not operation.name.startswith(within):
            continue
        beginning = f"{within}{match[0]}"
        for tensor in operation.outputs:
            leaves = any(not reader.name.startswith(beginning) for reader in tensor.consumers())
            found += [tensor] * (leaves and tensor.shape.ndims == 4 and tensor.dtype.base_dtype.is_floating)
    return found


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
