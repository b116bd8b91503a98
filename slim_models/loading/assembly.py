"""Somebody's graph as a `Network`: what is to be imported of it, and the import."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Mapping, Sequence

import tensorflow.compat.v1 as tf

from slim_models.backward import marked
from slim_models.builders import PREPROCESSINGS
from slim_models.loading.finding import default_layer, find_layers
from slim_models.loading.originals import Original
from slim_models.loading.passes import (
    Say,
    channels_last,
    float_input,
    free_batch,
    imported,
    inferred,
    restore,
    shared,
    unfused,
    variables_of,
)
from slim_models.loading.tensors import tensor_named, text_of
from slim_models.mistakes import BadValue, UnknownName
from slim_models.network import Network
from slim_models.weights import Restored

Size = int | tuple[int, int] | None

# Heights and widths to try where a graph says none: those of the well-known networks.
_SIZES = (224, 299, 227, 231, 256, 331, 192, 160, 128, 112, 96, 64, 32)


@dataclasses.dataclass(frozen=True)
class Plan:
    """What to import, and as what.

    Attributes:
        part: the operations between pictures and logits, to be imported as they are.
        images: name of the float32 tensor that takes what preprocessing makes of the pictures.
        logits: name of the logits, `[N, C]` or `[N, 1, 1, C]`.
        shape: of the pictures, `[N, H, W, 3]`; N is None if it is free.
        channels_first: whether `images` is `[N, 3, H, W]`.
        num_classes: C.
        heavy: constants in whose place the part has operations that are never run.
        head: what the graph makes of the logits, of `HEADS`.
    """

    part: tf.GraphDef
    images: str
    logits: str
    shape: Sequence[int | None]
    channels_first: bool
    num_classes: int
    heavy: Mapping[str, tf.NodeDef]
    head: str = "softmax"


def plan(part: tf.GraphDef, images: str, logits: str, size: Size, say: Say, heavy: Mapping[str, tf.NodeDef]) -> Plan:
    """Plans the import of a part.

    The operations come in a form that runs anywhere and has true gradients with respect to float pictures:
    fused ones become plain ones, integers float32, channels come last, a batch size that was frozen is freed
    where that can be proved, and ReLUs get their marks.

    Args:
        part: the operations between pictures and logits.
        images: name of the tensor of the pictures.
        logits: name of the tensor of the logits.
        size: height and width that the user wants; None is the graph's, or one that it takes.
        say: is told what was guessed.
        heavy: constants that are not in the part.

    Raises:
        ValueError: an operation has no such form, or the graph does not take RGB pictures (of that size).
    """
    part = channels_last(float_input(unfused(part), images))
    shape, first = _shape(part, images, logits, size, say)
    part = marked(free_batch(part, images, logits))
    graph = inferred(part)
    number = graph.get_tensor_by_name(images).shape
    count = None if number.ndims is None else number.as_list()[0]
    num_classes = graph.get_tensor_by_name(logits).shape.as_list()[-1]
    if num_classes is None:
        num_classes = (
            inferred(part, images, _fed([count, *shape, 3], first)).get_tensor_by_name(logits).shape.as_list()[-1]
        )
    return Plan(part, images, logits, [count, *shape, 3], first, num_classes, heavy)


def _fed(shape: Sequence[int | None], channels_first: bool) -> list[int | None]:
    """The shape in the order in which the graph takes it."""
    number, height, width, channels = shape
    return [number, channels, height, width] if channels_first else list(shape)


def _shape(part: tf.GraphDef, images: str, logits: str, size: Size, say: Say) -> tuple[tuple[int, int], bool]:
    """Height and width of the pictures, and whether the graph takes channels first."""
    tensor = inferred(part).get_tensor_by_name(images)
    shape = tensor.shape.as_list() if tensor.shape.ndims is not None else [None] * 4
    if len(shape) != 4 or (3 not in (shape[1], shape[3]) and None not in (shape[1], shape[3])):
        raise BadValue(f"{text_of(tensor)} takes no RGB pictures [N, H, W, 3]")
    first = shape[1] == 3 and shape[3] != 3
    own = shape[2:] if first else shape[1:3]
    asked = (size, size) if isinstance(size, int) else size
    if asked is not None and any(o not in (None, a) for o, a in zip(own, asked)):
        raise BadValue(f"the graph takes pictures of {own[0]} x {own[1]}, not {asked[0]} x {asked[1]}")
    if None not in own:
        return tuple(own), first
    choices = [asked] if asked else [(own[0] or side, own[1] or side) for side in _SIZES]
    reason = ""
    for choice in choices:
        try:
            # With a number of pictures nothing stays open that the sizes decide.
            graph = inferred(part, images, _fed([shape[0] or 2, *choice, 3], first))
            if graph.get_tensor_by_name(logits).shape.as_list()[0] not in (None, shape[0] or 2):
                raise BadValue(f"pictures of {choice[0]} x {choice[1]} would be taken apart")
        except ValueError as error:
            reason = reason or str(error)
            continue
        if asked is None:
            say(f"image size: {choice[0]} x {choice[1]} (guessed: the graph says none, and takes this)")
        return choice, first
    tried = ", ".join(f"{height} x {width}" for height, width in choices)
    raise BadValue(f"the graph takes no pictures of {tried}: {reason}; give their size as image_size")


def rebuilt(original: Original, plan: Plan, preprocessing: str, layer: str | Sequence[str] | None) -> Network:
    """Imports the part, into the graph that has its variables or a new one, behind a placeholder of ours.

    Args:
        original: where the part comes from.
        plan: what to import.
        preprocessing: of `PREPROCESSINGS`.
        layer: as of `load`.

    Raises:
        KeyError: no such layer.
        ValueError: there is no layer to explain, or several could be the default.
    """
    graph, variables = original.graph or tf.Graph(), {}
    rest, inputs = shared(plan.part, original.graph, plan.heavy)
    with graph.as_default():
        if original.graph is None:
            variables = variables_of(plan.heavy)
            inputs.update({f"{name}:0": tf.convert_to_tensor(variable) for name, variable in variables.items()})
        with graph.name_scope("explained") as scope:
            images = tf.placeholder(tf.float32, plan.shape, name="images")
            prepared = PREPROCESSINGS[preprocessing](images)
            inputs[plan.images] = tf.transpose(prepared, [0, 3, 1, 2]) if plan.channels_first else prepared
            logits = _imported(rest, inputs, plan.logits)
    layers, bottlenecks = find_layers(images, logits)
    endpoints = {_name(tensor, scope): tensor for tensor in layers}
    asked = [layer] if isinstance(layer, str) else list(layer or [])
    known = list(endpoints)
    endpoints.update({name: _layer(graph, scope, name, known) for name in asked if name not in endpoints})
    default = (
        asked[0] if asked else default_layer(known, [_name(tensor, scope) for tensor in bottlenecks], original.name)
    )
    return Network(
        original.name,
        images,
        logits,
        endpoints,
        default,
        Restored(functools.partial(restore, plan.heavy, variables)) if variables else original.values,
        precision=endpoints[default].dtype.base_dtype.name,
        input_order="BGR" if preprocessing == "caffe_bgr" else "RGB",
    )


def _imported(part: tf.GraphDef, inputs: dict[str, tf.Tensor], logits: str) -> tf.Tensor:
    """Imports into the current graph and scope: the logits, `[N, C]` float32."""
    (tensor,) = imported(part, inputs, [logits], "network")
    return tf.cast(tf.squeeze(tensor, [1, 2]) if tensor.shape.ndims == 4 else tensor, tf.float32)


def _name(tensor: tf.Tensor, scope: str) -> str:
    """A layer's name in the original graph."""
    return tensor.op.name.removeprefix(f"{scope}network/")


def _layer(graph: tf.Graph, scope: str, layer: str, known: Sequence[str]) -> tf.Tensor:
    """A tensor that is no activation, but that the user wants explained."""
    try:
        tensor = tensor_named(graph, f"{scope}network/{layer}")
    except KeyError as error:
        raise UnknownName(f"there is no layer {layer!r}; the layers are {', '.join(known)}") from error
    if tensor.shape.ndims != 4:
        raise BadValue(f"layer {layer!r} has no spatial extent: it is {tensor.shape}, not [N, h, w, K]")
    return tensor
