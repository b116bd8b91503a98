"""The layers of a graph that can be explained: activations, or convolutions where there are none."""

from __future__ import annotations

import functools
import operator
from collections.abc import Callable, Mapping, Sequence

import tensorflow.compat.v1 as tf

from slim_models.backward import depending, signal_path
from slim_models.loading.tensors import CONVOLUTIONS, shape_of
from slim_models.mistakes import BadValue

_ACTIVATIONS = ("Relu", "Relu6", "LeakyRelu", "Elu", "Selu", "Softplus", "Softsign", "Sigmoid", "Tanh", "Maximum")
_JOINING = ("Add", "AddV2", "AddN", "ConcatV2", "Concat", "Mul")  # of two branches: residuals, Inception, swish
# What makes a convolution's output from its result: bias and batch norm, in one operation or in several.
_AFFINE = ("BiasAdd", "Add", "AddV2", "Sub", "Mul", "FusedBatchNorm", "FusedBatchNormV2", "FusedBatchNormV3")
# Around a convolution with dilation, of pixels that have been moved to the batch's axis.
_BEFORE_DILATED, _AFTER_DILATED = ("SpaceToBatchND", "SpaceToBatch", "Pad"), ("BatchToSpaceND", "BatchToSpace")
Path = Mapping[tf.Operation, int]  # the operations between pictures and logits, in their order


def find_layers(images: tf.Tensor, logits: tf.Tensor) -> tuple[list[tf.Tensor], list[tf.Tensor]]:
    """The layers between pictures and logits.

    A layer is the output `[N, h, w, K]` of an activation, or of what joins branches, with a spatial extent; in a
    network without any, that of a convolution, its bias and its batch norm.
    Every path from the pictures to the logits leads through a bottleneck: Grad-CAM of the last one takes
    account of all that the network sees, where that of one branch of an Inception would not.

    Args:
        images: the pictures.
        logits: what depends on them.

    Returns:
        all layers in forward order, and the bottlenecks among them.
    """
    path = {operation: place for place, operation in enumerate(_in_order(signal_path(logits, [images])))}
    found = _layers(images, path, lambda operation: _is_activation(operation, path))
    if found[0]:
        return found
    ends = {_end(operation, path) for operation in path if operation.type in CONVOLUTIONS}
    return _layers(images, path, lambda operation: operation in ends and _has_extent(operation.outputs[0]))


def _in_order(operations: Sequence[tf.Operation]) -> Sequence[tf.Operation]:
    """Each after all that it depends on, as TensorFlow has them where there are no loops."""
    if not any(operation.type == "NextIteration" for operation in operations):
        return operations
    places = {operation: place for place, operation in enumerate(operations)}
    before = dict.fromkeys(operations, 0)  # the places of what it depends on, as bits
    changed = True
    while changed:
        changed = False
        for operation in operations:
            read = [tensor.op for tensor in operation.inputs if tensor.op in places]
            bits = functools.reduce(operator.or_, (before[op] | 1 << places[op] for op in read), before[operation])
            changed, before[operation] = changed or bits != before[operation], bits
    return sorted(operations, key=lambda operation: (before[operation].bit_count(), places[operation]))


def kind_of_layer(images: tf.Tensor, layer: tf.Tensor) -> str:
    """What the default layer is, in words."""
    if _is_activation(layer.op, dict.fromkeys(depending([images]), 0)):
        return "the last activation with a spatial extent"
    return "the last convolution, as no activation has a spatial extent"


def _layers(
    images: tf.Tensor, path: Path, is_layer: Callable[[tf.Operation], bool]
) -> tuple[list[tf.Tensor], list[tf.Tensor]]:
    farthest = max((path[operation] for operation in images.consumers() if operation in path), default=0)
    layers, bottlenecks = [], []
    for operation, place in path.items():
        readers = _readers(operation, path)
        joined_only = operation.type in _JOINING and all(op.type in _ACTIVATIONS for op in readers)
        if is_layer(operation) and not joined_only:
            layers.append(operation.outputs[0])
            if farthest <= place:  # nothing before reads past it
                bottlenecks.append(operation.outputs[0])
        farthest = max([farthest, *(path[op] for op in readers)])
    return layers, bottlenecks


def _readers(operation: tf.Operation, path: Path) -> list[tf.Operation]:
    return [op for t in operation.outputs for op in t.consumers() if op in path and _passes(t, op, path)]


def _end(operation: tf.Operation, path: Path) -> tf.Operation:
    """The last operation that still belongs to a convolution."""
    while True:
        readers = _readers(operation, path)
        if len(readers) != 1:
            return operation
        (reader,) = readers
        if reader.type in _AFTER_DILATED or _joins_groups(reader):
            operation = reader
            continue
        signals = sum(tensor.op in path for tensor in reader.inputs)
        if reader.type not in _AFFINE or signals > 1 or not _has_extent(reader.outputs[0]):
            return operation
        operation = reader


def _joins_groups(operation: tf.Operation) -> bool:
    """Whether it puts together a convolution in groups, each of which was convolved by itself."""
    if operation.type != "ConcatV2":
        return False
    pieces = [_inner(tensor, (*_AFTER_DILATED, "BiasAdd")) for tensor in operation.inputs[:-1]]
    if not all(piece.type == "Conv2D" for piece in pieces):
        return False
    splits = {_inner(piece.inputs[0], _BEFORE_DILATED) for piece in pieces}
    return len(splits) == 1 and splits.pop().type in ("Split", "SplitV")


def _inner(tensor: tf.Tensor, around: Sequence[str]) -> tf.Operation:
    """The operation that makes a tensor, but for what is around it."""
    operation = tensor.op
    while operation.type in around:
        operation = operation.inputs[0].op
    return operation


def _passes(tensor: tf.Tensor, reader: tf.Operation, path: Path) -> bool:
    """Whether anything of a tensor comes out of an operation that reads it.

    TensorFlow's swish ends in an IdentityN of its result and its input, of which only the result is read.
    """
    if reader.type != "IdentityN":
        return True
    outputs = [after for before, after in zip(reader.inputs, reader.outputs) if before.name == tensor.name]
    return any(op in path for output in outputs for op in output.consumers())


def _is_activation(operation: tf.Operation, path: Path) -> bool:
    inputs = sum(tensor.op in path for tensor in operation.inputs)
    joins = operation.type in _JOINING and inputs > 1 and not _joins_groups(operation)
    if operation.type not in _ACTIVATIONS and not joins:
        return False
    return _has_extent(operation.outputs[0])


def _has_extent(tensor: tf.Tensor) -> bool:
    shape = shape_of(tensor)
    return tensor.dtype.base_dtype.is_floating and shape is not None and len(shape) == 4 and shape[1:3] != [1, 1]


def default_layer(layers: Sequence[str], bottlenecks: Sequence[str], network: str) -> str:
    """The last bottleneck.

    Raises:
        ValueError: there are no layers, or none that all paths lead through.
    """
    if not layers:
        raise BadValue(
            f"{network} has no activations with a spatial extent [N, h, w, K] and no convolutions between pictures and "
            "logits: there is nothing that Grad-CAM could show"
        )
    if not bottlenecks:
        last = ", ".join(layers[-10:])
        raise BadValue(
            f"{network} has no layer that all paths to the logits lead through; give a layer, such as {last}"
        )
    return bottlenecks[-1]
