"""Somebody's graph as a `Network`: what is to be imported of it, and the import."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Sequence

import tensorflow.compat.v1 as tf

from slim_models.builders import PREPROCESSINGS
from slim_models.loading.layers import default_layer, find_layers
from slim_models.loading.originals import Original
from slim_models.loading.passes import Graph, Say, imported, restore, shared, variables_of
from slim_models.loading.tensors import shape_of, tensor_named, text_of
from slim_models.mistakes import BadValue, UnknownName
from slim_models.network import Network
from slim_models.weights import Restored

# Heights and widths to try where a graph says none: those of the well-known networks.
_SIZES = (224, 299, 227, 231, 256, 331, 192, 160, 128, 112, 96, 64, 32)
_COARSE = 4  # pixels along a side for which a classifier's head has one place, at least


@dataclasses.dataclass(frozen=True)
class Plan:
    """What to import, and as what.

    Attributes:
        part: the operations between pictures and logits, to be imported as they are (`passes`).
        images: name of the float32 tensor that takes what preprocessing makes of the pictures.
        logits: name of the logits, `[N, C]` or `[N, 1, 1, C]`.
        shape: of the pictures, `[N, H, W, 3]`; N is None if it is free.
        channels_first: whether `images` is `[N, 3, H, W]`.
        num_classes: C.
        head: what the graph makes of the logits, of `HEADS`.
    """

    part: Graph
    images: str
    logits: str
    shape: Sequence[int | None]
    channels_first: bool
    num_classes: int
    head: str = "softmax"


def plan(part: Graph, images: str, logits: str, size: tuple[int, int] | None, say: Say) -> Plan:
    """Plans the import of a part.

    Args:
        part: the operations between pictures and logits, rewritten.
        images: name of the tensor of the pictures.
        logits: name of the tensor of the logits.
        size: height and width that the user wants; None is the graph's, or one that it takes.
        say: is told what was guessed.

    Raises:
        ValueError: the graph does not take RGB pictures (of that size).
    """
    (height, width), first = _shape(part, images, logits, size, say)
    number = (shape_of(part.inferred.get_tensor_by_name(images)) or [None])[0]
    shape = [number, height, width, 3]
    num_classes = part.inferred.get_tensor_by_name(logits).shape.as_list()[-1]
    if num_classes is None:
        of_size = part.inferred_for(images, _fed(shape, first))
        num_classes = of_size.get_tensor_by_name(logits).shape.as_list()[-1]
    return Plan(part, images, logits, shape, first, num_classes)


def _fed(shape: Sequence[int | None], channels_first: bool) -> list[int | None]:
    """The shape in the order in which the graph takes it."""
    number, height, width, channels = shape
    return [number, channels, height, width] if channels_first else list(shape)


def check_coarse(planned: Plan, places: str) -> None:
    """Logits for every place must be few beside pixels, or they are a segmentation.

    Args:
        planned: of which the logits are a mean.
        places: name of the tensor `[N, h, w, C]` of which.

    Raises:
        ValueError: they are many.
    """
    number, height, width, channels = planned.shape
    fed = _fed([number or 2, height, width, channels], planned.channels_first)
    shape = shape_of(planned.part.inferred_for(planned.images, fed).get_tensor_by_name(places)) or [None] * 4
    if shape[1] and height and shape[1] * _COARSE > height:
        raise BadValue(
            f"the graph is no classifier: {places} has classes for {shape[1]} x {shape[2]} places of pictures of "
            f"{height} x {width}, as a segmentation has; give the name of the logits if there are some"
        )


def _shape(
    part: Graph, images: str, logits: str, size: tuple[int, int] | None, say: Say
) -> tuple[tuple[int, int], bool]:
    """Height and width of the pictures, and whether the graph takes channels first."""
    tensor = part.inferred.get_tensor_by_name(images)
    shape = [None] * 4 if tensor.shape.ndims is None else tensor.shape.as_list()
    if len(shape) != 4 or (3 not in (shape[1], shape[3]) and None not in (shape[1], shape[3])):
        raise BadValue(f"{text_of(tensor)} takes no RGB pictures [N, H, W, 3]")
    first = shape[1] == 3 and shape[3] != 3
    height, width = shape[2:] if first else shape[1:3]
    if size is not None and any(own not in (None, asked) for own, asked in zip((height, width), size)):
        raise BadValue(f"the graph takes pictures of {height} x {width}, not {size[0]} x {size[1]}")
    if height is not None and width is not None:
        return (height, width), first
    choices = [size] if size else [(height or side, width or side) for side in _SIZES]
    chosen = _first_that_fits(part, images, logits, [[shape[0] or 2, *choice, 3] for choice in choices], first)
    if size is None:
        say(f"image size: {chosen[0]} x {chosen[1]} (guessed: the graph says none, and takes this)")
    return chosen, first


def _first_that_fits(
    part: Graph, images: str, logits: str, shapes: Sequence[Sequence[int]], channels_first: bool
) -> tuple[int, int]:
    """Height and width of the first of the shapes `[N, H, W, 3]` that the graph takes."""
    reason = ""
    for number, height, width, channels in shapes:
        try:
            # With a number of pictures nothing stays open that the sizes decide.
            graph = part.inferred_for(images, _fed([number, height, width, channels], channels_first))
            if graph.get_tensor_by_name(logits).shape.as_list()[0] not in (None, number):
                raise BadValue(f"pictures of {height} x {width} would be taken apart")
        except ValueError as error:
            reason = reason or str(error)
            continue
        return height, width
    tried = ", ".join(f"{height} x {width}" for _, height, width, _ in shapes)
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
    heavy = plan.part.heavy
    rest, inputs = shared(plan.part, original.graph)
    with graph.as_default():
        if original.graph is None:
            variables = variables_of(heavy)
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
        Restored(functools.partial(restore, heavy, variables)) if variables else original.values,
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
