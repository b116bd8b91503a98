"""Which tensors between pictures and logits are layers that Grad-CAM can explain, and which is the default."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import tensorflow.compat.v1 as tf

from slim_models.signal_path import signal_path
from slim_models.tensors import shape_of

_ACTIVATIONS = ("Relu", "Relu6", "LeakyRelu", "Elu", "Selu", "Softplus", "Softsign", "Sigmoid", "Tanh", "Maximum")
_JOINING = ("Add", "AddV2", "AddN", "ConcatV2", "Concat", "Mul")  # of two branches: residuals, Inception, swish


def find_layers(images: tf.Tensor, logits: tf.Tensor) -> tuple[list[tf.Tensor], list[tf.Tensor]]:
    """The layers between pictures and logits.

    A layer is the output `[N, h, w, K]` of an activation, or of what joins branches, with a spatial extent.
    Every path from the pictures to the logits leads through a bottleneck: Grad-CAM of the last one takes
    account of all that the network sees, where that of one branch of an Inception would not.

    Args:
        images: the pictures.
        logits: what depends on them.

    Returns:
        all layers in forward order, and the bottlenecks among them.
    """
    path = signal_path(logits, [images])
    places = {operation: place for place, operation in enumerate(path)}
    farthest = max((places[operation] for operation in images.consumers() if operation in places), default=0)
    layers, bottlenecks = [], []
    for place, operation in enumerate(path):
        readers = [op for t in operation.outputs for op in t.consumers() if op in places and _passes(t, op, places)]
        joined_only = operation.type in _JOINING and all(op.type in _ACTIVATIONS for op in readers)
        if _is_layer(operation, path=places) and not joined_only:
            layers.append(operation.outputs[0])
            if farthest <= place:  # nothing before reads past it
                bottlenecks.append(operation.outputs[0])
        farthest = max([farthest, *(places[op] for op in readers)])
    return layers, bottlenecks


def _passes(tensor: tf.Tensor, reader: tf.Operation, path: Mapping[tf.Operation, int]) -> bool:
    """Whether anything of a tensor comes out of an operation that reads it.

    TensorFlow's swish ends in an IdentityN of its result and its input, of which only the result is read.
    """
    if reader.type != "IdentityN":
        return True
    outputs = [after for before, after in zip(reader.inputs, reader.outputs) if before.name == tensor.name]
    return any(op in path for output in outputs for op in output.consumers())


def _is_layer(operation: tf.Operation, path: dict[tf.Operation, int]) -> bool:
    inputs = sum(tensor.op in path for tensor in operation.inputs)
    if operation.type not in _ACTIVATIONS and not (operation.type in _JOINING and inputs > 1):
        return False
    output = operation.outputs[0]
    shape = shape_of(output)
    return output.dtype.base_dtype.is_floating and shape is not None and len(shape) == 4 and shape[1:3] != [1, 1]


def default_layer(layers: Sequence[str], bottlenecks: Sequence[str], network: str) -> str:
    """The last bottleneck.

    Raises:
        ValueError: there are no layers, or none that all paths lead through.
    """
    if not layers:
        raise ValueError(
            f"{network} has no activations with a spatial extent [N, h, w, K] between pictures and logits: "
            "there is nothing that Grad-CAM could show"
        )
    if not bottlenecks:
        last = ", ".join(layers[-10:])
        raise ValueError(
            f"{network} has no layer that all paths to the logits lead through; give a layer, such as {last}"
        )
    return bottlenecks[-1]
