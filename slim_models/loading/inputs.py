"""Where a graph can take pictures: placeholders, pipelines that were never frozen, what flat pixels are reshaped to."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

import tensorflow.compat.v1 as tf

from slim_models.backward import depending
from slim_models.loading.passes import PIPELINES, PLACEHOLDERS
from slim_models.loading.tensors import CONVOLUTIONS, shape_of, text_of

_RESHAPING = ("Reshape", "ExpandDims")
_COPYING = (*_RESHAPING, "Squeeze", "Identity", "Cast", "StopGradient", "PlaceholderWithDefault")
_SCALING = ("Mul", "Sub", "Add", "AddV2", "Div", "RealDiv")


def _has_colours(shape: list[int | None] | None) -> bool:
    """Whether photographs, RGB or grey, can have that shape, `[N, H, W, C]` or `[N, C, H, W]`."""
    return shape is not None and _is_picture(shape) and (shape[-1] in (1, 3, None) or shape[1] in (1, 3, None))


def _is_picture(shape: list[int | None] | None) -> bool:
    """Whether it may be pictures of any number of channels."""
    return shape is not None and len(shape) == 4


def outputs(graph: tf.Graph, types: Sequence[str]) -> list[tf.Tensor]:
    """What the operations of some types give."""
    return [tensor for op in graph.get_operations() if op.type in types for tensor in op.outputs]


def feeding(tensors: Iterable[tf.Tensor]) -> list[tf.Tensor]:
    """Those that a convolution is computed from: no labels, no Saver's file names, nothing that goes into a queue."""
    return [tensor for tensor in tensors if any(op.type in CONVOLUTIONS for op in depending([tensor]))]


def candidates(graph: tf.Graph, said: Sequence[tf.Tensor], others: Collection[str] = ()) -> list[tuple[tf.Tensor, str]]:
    """What could take the pictures, each with how it was found.

    Those with the shape of photographs; if there are none, of pictures of other channels; grey ones without channels;
    then what flat ones are reshaped to; those of unknown shape; encoded pictures. A placeholder goes before what a
    pipeline gives.

    Args:
        graph: of `Graph.inferred`.
        said: the inputs that the file itself names; where empty, all placeholders.
        others: names of tensors that the user gives values to.
    """
    fed = [tensor for tensor in said or outputs(graph, PLACEHOLDERS) if tensor.name not in others]
    groups = [feeding(fed), feeding(t for t in outputs(graph, PIPELINES) if t.name not in others)]
    groups = groups if any(groups) else [list(fed)]  # nothing is a convolution's
    found = [
        [(t, "") for t in group if _is_numeric(t) and is_of_kind(shape_of(t))]
        for is_of_kind in (_has_colours, _is_picture, _is_without_channels)
        for group in groups
    ]
    found += [[pair for t in group if _is_numeric(t) for pair in _reshaped(t)] for group in groups]
    found += [[(t, "") for t in group if t.dtype.base_dtype.is_floating and shape_of(t) is None] for group in groups]
    found += [[(t, "") for t in groups[0] if t.dtype.base_dtype == tf.string]]
    return next((pairs for pairs in found if pairs), [])


def _is_without_channels(shape: list[int | None] | None) -> bool:
    """Whether it may be grey pictures `[N, H, W]`: not `[H, W, 3]`."""
    return shape is not None and len(shape) == 3 and not {1, 3} & set(shape[1:])


def _is_numeric(tensor: tf.Tensor) -> bool:
    return tensor.dtype.base_dtype.is_floating or tensor.dtype.base_dtype.is_integer


def _reshaped(tensor: tf.Tensor) -> list[tuple[tf.Tensor, str]]:
    """The pictures `[N, H, W, C]` that a tensor of another rank is reshaped to, and how that is said."""
    if tensor.shape.ndims == 4:
        return []
    after = depending([tensor])
    operations = [op for op in tensor.graph.get_operations() if op in after and op.type in _RESHAPING]
    pictures = feeding(op.outputs[0] for op in operations if _is_known(shape_of(op.outputs[0])))
    for found in pictures:  # the first in the order of the graph
        scaled = _between(tensor, found, after)
        if scaled is not None:
            left = f"; what {', '.join(scaled)} does to it before is left out" if scaled else ""
            return [(found, f"what {text_of(tensor)} is reshaped to{left}")]
    return []


def _is_known(shape: list[int | None] | None) -> bool:
    """Whether it is that of pictures whose size and channels are known."""
    return shape is not None and len(shape) == 4 and None not in shape[1:]


def _between(tensor: tf.Tensor, reshaped: tf.Tensor, after: set[tf.Operation]) -> list[str] | None:
    """The operations between them that change numbers, pixel by pixel; None if there is anything else."""
    scaled: list[str] = []
    current = reshaped
    while current is not tensor:
        operation = current.op
        inputs = [read for read in operation.inputs if read is tensor or read.op in after]
        if len(inputs) != 1 or operation.type not in _COPYING + _SCALING:
            return None
        if operation.type in _COPYING and inputs[0] is not operation.inputs[0]:
            return None  # it is where a shape comes from
        if operation.type in _SCALING:
            scaled.insert(0, operation.name)
        current = inputs[0]
    return scaled


def labels_beside(graph: tf.Graph, images: tf.Tensor) -> set[tf.Operation]:
    """What depends on other inputs than the pictures and switches such as `keep_prob`: losses, metrics, gradients."""
    fed = [t for t in outputs(graph, (*PLACEHOLDERS, *PIPELINES)) if t is not images and not _is_switch(t)]
    after = depending([images])
    readers = [(tensor, depending([tensor])) for tensor in fed]
    # An input that goes through layers together with the pictures is the network's.
    labels = [t for t, beside in readers if images.op not in beside and not has_layers(beside & after)]
    return depending(labels)


def has_layers(operations: Iterable[tf.Operation]) -> bool:
    """Whether there are layers among them, and not only their gradients, which transpose a factor."""
    return any(
        op.type in CONVOLUTIONS or (op.type == "MatMul" and not op.get_attr("transpose_a") | op.get_attr("transpose_b"))
        for op in operations
    )


def _is_switch(tensor: tf.Tensor) -> bool:
    dtype, shape = tensor.dtype.base_dtype, shape_of(tensor)
    return dtype.is_bool or shape == [] or (dtype.is_floating and shape is None) or not _is_numeric(tensor)
