"""The input of a graph that was not made for float32 pictures: made to take them, and differentiable."""

from __future__ import annotations

from collections.abc import Iterable

import tensorflow.compat.v1 as tf

from slim_models.loading.passes.graph import Graph, Rewriting, data_inputs, node_name, tensor_name, type_of
from slim_models.mistakes import BadValue

# What moves, resizes, pads or compares numbers works on float32 as on integers.
_MOVING = """
    Identity StopGradient PreventGradient Snapshot EnsureShape PlaceholderWithDefault Switch Merge Reshape ExpandDims
    Squeeze Transpose StridedSlice Slice Reverse ReverseV2 Concat ConcatV2 Pack Unpack Split SplitV Pad PadV2 MirrorPad
    Tile BroadcastTo Gather GatherV2 GatherNd ResizeNearestNeighbor ResizeBilinear ResizeBicubic ResizeArea
    CropAndResize Shape ShapeN Size Rank Maximum Minimum Greater GreaterEqual Less LessEqual Equal NotEqual Select
    SelectV2 ZerosLike OnesLike
"""
# Exact in float32 up to 2^24; in fewer bits than 32 they would have wrapped around.
_ARITHMETIC = ("Add", "AddV2", "AddN", "Sub", "Mul", "Neg", "Abs", "Square")


def float_input(graph: Graph, images: str) -> Graph:
    """Makes a graph take float32 in the range in which it took another type, with gradients.

    Between integers and the Cast that ends them everything becomes float32, so that the gradient of the
    Cast is true and not None. Pixels that are no whole numbers are then not rounded. Halves and doubles
    come from a Cast behind the new input.

    Args:
        graph: of a classifier, without operations that its logits do not need.
        images: a tensor; it becomes a placeholder of the same name and shape.

    Returns:
        Another graph; `graph` itself if `images` is float32.

    Raises:
        ValueError: images are encoded (strings), or of a type that is no number; an operation on their way
            to float has no counterpart in float32; the images' node has other outputs too.
    """
    images = tensor_name(images)
    tensor = graph.inferred.get_tensor_by_name(images)
    if tensor.dtype == tf.float32:
        return graph
    if not (tensor.dtype.is_floating or tensor.dtype.is_integer) or tensor.dtype.is_quantized:
        raise BadValue(
            f"{images} is of type {tensor.dtype.name}, which has no gradients: give a tensor behind it as images="
        )
    if len(tensor.op.outputs) > 1:
        raise BadValue(
            f"{images} is of type {tensor.dtype.name} and one of {len(tensor.op.outputs)} outputs of its operation, "
            f"so it cannot become float32: give a tensor behind it as images="
        )
    rewriting = Rewriting(graph)
    source = rewriting.result.node.add(name=tensor.op.name, op="Placeholder")
    source.attr["dtype"].CopyFrom(type_of(tf.float32))
    source.attr["shape"].shape.CopyFrom(tensor.shape.as_proto())
    if tensor.dtype.is_floating:
        _cast_behind(rewriting, graph, tensor)
    else:
        _retype_behind(rewriting, graph, tensor)
    return rewriting.finished()


def _cast_behind(rewriting: Rewriting, graph: Graph, images: tf.Tensor) -> None:
    cast = _cast(rewriting, images.name, tf.float32, images.dtype)
    for node in graph.graph_def.node:
        if node.name != images.op.name:
            copy = rewriting.copy(node)
            inputs = data_inputs(node)
            copy.input[: len(inputs)] = [cast if tensor == images.name else tensor for tensor in inputs]


def _cast(rewriting: Rewriting, tensor: str, source: tf.DType, destination: tf.DType) -> str:
    name = f"{node_name(tensor)}/{destination.name}"
    return rewriting.add("Cast", name, [tensor], SrcT=type_of(source), DstT=type_of(destination))


def _retype_behind(rewriting: Rewriting, graph: Graph, images: tf.Tensor) -> None:
    floats = {images.name}
    for node in graph.topological:
        if node.name != images.op.name:
            copy = rewriting.copy(node)
            if floats.intersection(data_inputs(node)):
                floats |= _retyped(rewriting, copy, images.graph.get_operation_by_name(node.name), floats, images.name)


def _retyped(rewriting: Rewriting, node: tf.NodeDef, old: tf.Operation, floats: set[str], images: str) -> set[str]:
    """Makes a node take float32 where it reads `floats`; returns those of its outputs that become float32 too."""
    inputs = data_inputs(node)
    types = _type_attributes(old.op_def.input_arg, node)
    changed = {attribute for attribute, tensor in zip(types, inputs) if tensor in floats}
    if not _is_known(old) or not changed <= {"T", "Tparams", "SrcT"}:
        raise BadValue(
            f"{images} is not float, and {node.name!r}, a {node.op}, on its way to float cannot be turned into "
            f"float32: give a tensor behind it as images="
        )
    if old.type == "Cast" and old.outputs[0].dtype.is_integer:
        changed.add("DstT")
    for index, (attribute, tensor) in enumerate(zip(types, inputs)):
        if attribute in changed and tensor not in floats:
            node.input[index] = _cast(rewriting, tensor, old.inputs[index].dtype, tf.float32)
    for attribute in changed:
        node.attr[attribute].CopyFrom(type_of(tf.float32))
    outputs = _type_attributes(old.op_def.output_arg, node)
    return {f"{node.name}:{index}" for index, attribute in enumerate(outputs) if attribute in changed}


def _is_known(operation: tf.Operation) -> bool:
    """Whether the operation does with float32 what it does with integers."""
    if operation.type == "Cast":
        return operation.outputs[0].dtype != tf.bool
    wide = all(tensor.dtype in (tf.int32, tf.int64) for tensor in operation.inputs)
    return operation.type in _MOVING.split() or (operation.type in _ARITHMETIC and wide)


def _type_attributes(arguments: Iterable, node: tf.NodeDef) -> list[str]:
    """The attribute that names the type, for each tensor; an empty string if the type is always the same."""
    counts = (node.attr[argument.number_attr].i if argument.number_attr else 1 for argument in arguments)
    return [argument.type_attr for argument, count in zip(arguments, counts) for _ in range(count)]
