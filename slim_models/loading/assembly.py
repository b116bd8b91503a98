"""Somebody's graph as a `Network`: what is to be imported of it, and the import."""

from __future__ import annotations

import dataclasses
import functools
import itertools
from collections.abc import Mapping, Sequence

import tensorflow.compat.v1 as tf

from slim_models.builders import Preprocessing, grey, in_words, order_of, prepared
from slim_models.loading.checked import check_values
from slim_models.loading.layers import default_layer, find_layers
from slim_models.loading.layout import Layout, layouts_of
from slim_models.loading.originals import Original, check_constants
from slim_models.loading.passes import Graph, Say, imported, restore, shared, variables_of, while_contexts
from slim_models.loading.structure import Arithmetic
from slim_models.loading.tensors import outputs_of_scope, shape_of, tensor_named, text_of
from slim_models.mistakes import BadValue, UnknownName
from slim_models.network import Network, Values
from slim_models.weights import FromCheckpoint, Opened, Restored

# Heights and widths to try where a graph says none: those of the well-known networks.
_SIZES = (224, 299, 227, 231, 256, 331, 192, 160, 128, 112, 96, 64, 48, 32, 28)
_MOST_PIXELS = 2**28  # fed at once; a gigabyte for each channel
_COARSE = 4  # pixels along a side for which a classifier's head has one place, at least


@dataclasses.dataclass(frozen=True)
class Plan:
    """What to import, and as what.

    Attributes:
        part: the operations between pictures and logits, to be imported as they are (`passes`).
        images: name of the float32 tensor that takes what preprocessing makes of the pictures.
        logits: name of the logits, `[N, C]` or `[N, 1, 1, C]`.
        shape: of the pictures, `[N, H, W, 3]`, or `[N, H, W, K]` of arrays; N is None if it is free.
        layout: in which `images` takes them, and how many channels.
        outputs: C of the graph's logits.
        head: what the graph makes of the logits, of `HEADS`.
        takes_arrays: as of `Network`.
        integers: whether `images` took integers.
        decoding: what the graph makes of pixels while it decodes them, if it takes files and that can be told.
        warned: what gives a picture another result beside other pictures, or in another run, in sentences.
        names: of the classes, if the graph itself has them.
    """

    part: Graph
    images: str
    logits: str
    shape: Sequence[int | None]
    layout: Layout
    outputs: int
    head: str = "softmax"
    takes_arrays: bool = False
    integers: bool = False
    decoding: Arithmetic | None = None
    warned: Sequence[str] = ()
    names: Sequence[str] | None = None

    @property
    def one_output(self) -> bool:
        """Whether there is one output, which is explained in both directions."""
        return self.outputs == 1 and self.head != "softmax"

    @property
    def num_classes(self) -> int:
        """C of the network: two of one output."""
        return 2 if self.one_output else self.outputs


def plan(part: Graph, images: str, logits: str, size: tuple[int, int] | None, say: Say, arrays: bool = False) -> Plan:
    """Plans the import of a part.

    Args:
        part: the operations between pictures and logits, rewritten.
        images: name of the tensor of the pictures.
        logits: name of the tensor of the logits.
        size: height and width that the user wants; None is the graph's, or one that it takes.
        say: is told what was guessed.
        arrays: whether the pictures are prepared already, whatever their channels are.

    Raises:
        ValueError: the graph takes no pictures (of that size).
    """
    layout, height, width = _shape(part, images, logits, size, say)
    tensor = part.inferred.get_tensor_by_name(images)
    arrays = arrays or not layout.of_photographs
    if layout.grey and not arrays:
        say(f"grey: {text_of(tensor)} takes one channel, 0.299 R + 0.587 G + 0.114 B of a picture (found: its shape)")
    number = (shape_of(tensor) or [None])[0]
    if (number or 1) * height * width > _MOST_PIXELS:
        raise BadValue(f"the graph takes {number or 'any number of'} pictures of {height} x {width}, which nobody has")
    outputs = part.inferred.get_tensor_by_name(logits).shape.as_list()[-1]
    if outputs is None:
        of_size = part.inferred_for(images, layout.fed(number, height, width))
        outputs = of_size.get_tensor_by_name(logits).shape.as_list()[-1]
    shape = [number, height, width, layout.channels if arrays else 3]
    return Plan(part, images, logits, shape, layout, outputs, takes_arrays=arrays)


def fine_places(planned: Plan, places: str) -> list[int | None] | None:
    """Height and width of logits for every place, if there are too many for a classifier: those of a segmentation.

    Args:
        planned: with the operations between pictures and places.
        places: name of the tensor `[N, h, w, C]`.
    """
    number, height, width, _ = planned.shape
    fed = planned.layout.fed(number or 2, height, width)
    shape = shape_of(planned.part.inferred_for(planned.images, fed).get_tensor_by_name(places)) or [None] * 4
    return shape[1:3] if shape[1] and height and shape[1] * _COARSE > height else None


def check_coarse(planned: Plan, places: str) -> None:
    """Logits for every place must be few beside pixels, or they are a segmentation.

    Args:
        planned: of which the logits are a mean.
        places: as of `fine_places`.

    Raises:
        ValueError: they are many.
    """
    found = fine_places(planned, places)
    if found is not None:
        _, height, width, _ = planned.shape
        raise BadValue(
            f"the graph is no classifier: {places} has classes for {found[0]} x {found[1]} places of pictures of "
            f"{height} x {width}, as a segmentation has; give the name of the logits if there are some, or that one to "
            "explain a class all over the picture or in a region"
        )


def _shape(part: Graph, images: str, logits: str, size: tuple[int, int] | None, say: Say) -> tuple[Layout, int, int]:
    """The layout in which the graph takes pictures, and their height and width."""
    tensor = part.inferred.get_tensor_by_name(images)
    layouts = layouts_of(tensor)
    height, width = layouts[0].size(tensor)
    if size is not None and any(own not in (None, asked) for own, asked in zip((height, width), size)):
        raise BadValue(f"the graph takes pictures of {height} x {width}, not {size[0]} x {size[1]}")
    if 0 in (height, width):
        raise BadValue(f"the graph takes pictures of {height} x {width} pixels, which there are not")
    if height is not None and width is not None:
        size = height, width
        if len(layouts) == 1:
            return layouts[0], height, width
    sizes = [size] if size else [(height or side, width or side) for side in _SIZES]
    chosen = _first_that_fits(part, images, logits, layouts, sizes)
    if size is None:
        say(f"image size: {chosen[1]} x {chosen[2]} (guessed: the graph says none, and takes this)")
    return chosen


def _first_that_fits(
    part: Graph, images: str, logits: str, layouts: Sequence[Layout], sizes: Sequence[tuple[int, int]]
) -> tuple[Layout, int, int]:
    """The first of the layouts in which the graph takes pictures of one of the sizes, and the first of these."""
    reason = ""
    # With a number of pictures nothing stays open that the sizes decide.
    number = (shape_of(part.inferred.get_tensor_by_name(images)) or [None])[0] or 2
    for layout, (height, width) in itertools.product(layouts, sizes):
        try:
            graph = part.inferred_for(images, layout.fed(number, height, width))
            if graph.get_tensor_by_name(logits).shape.as_list()[0] not in (None, number):
                raise BadValue(f"pictures of {height} x {width} would be taken apart")
            if not layout.fits(graph):
                raise BadValue(f"pictures of {layout.channels} channels would be taken apart")
        except ValueError as error:
            reason = reason or str(error)
            continue
        return layout, height, width
    tried = ", ".join(f"{height} x {width}" for height, width in sizes)
    raise BadValue(f"the graph takes no pictures of {tried}: {reason}; give their size as image_size")


def rebuilt(
    original: Original, plan: Plan, preprocessing: str | Preprocessing, layer: str | Sequence[str] | None
) -> Network:
    """Imports the part, into the graph that has its variables or a new one, behind a placeholder of ours.

    Args:
        original: where the part comes from.
        plan: what to import.
        preprocessing: as of `load`.
        layer: as of `load`.

    Raises:
        KeyError: no such layer.
        ValueError: there is no layer to explain, or several could be the default.
    """
    graph, variables = original.graph or tf.Graph(), {}
    heavy = _weighed(plan.part, original.name)
    rest, inputs = shared(plan.part, original.graph)
    with graph.as_default():
        if original.graph is None:
            variables = variables_of(heavy)
            inputs.update({f"{name}:0": tf.convert_to_tensor(variable) for name, variable in variables.items()})
        with graph.name_scope(_free_scope(graph)) as scope:
            images = tf.placeholder(tf.float32, plan.shape, name="images")
            pixels = grey(images) if plan.layout.grey and not plan.takes_arrays else images
            inputs[plan.images] = plan.layout.ordered(prepared(pixels, preprocessing))
            outputs = _imported(rest, inputs, plan.logits, while_contexts(plan.part))
            logits = _directions(outputs) if plan.one_output else outputs
    asked = [layer] if isinstance(layer, str) else list(layer or [])
    endpoints, default = _endpoints(images, outputs, scope, asked, original.name)
    return Network(
        original.name,
        images,
        logits,
        endpoints,
        default,
        _checked(Restored(functools.partial(restore, heavy, variables)) if variables else original.values),
        head=plan.head,
        one_output=plan.one_output,
        precision=endpoints[default].dtype.base_dtype.name,
        input_order=order_of(preprocessing),
        takes_arrays=plan.takes_arrays,
        preprocessing=in_words(preprocessing),
    )


def _endpoints(
    images: tf.Tensor, outputs: tf.Tensor, scope: str, asked: Sequence[str], name: str
) -> tuple[dict[str, tf.Tensor], str]:
    """The layers by their names in the original graph, with those that are asked for, and the default one."""
    layers, bottlenecks = find_layers(images, outputs)
    endpoints = {_name(tensor, scope): tensor for tensor in layers}
    known, all_through = list(endpoints), [_name(tensor, scope) for tensor in bottlenecks]
    endpoints.update({word: _layer(images.graph, scope, word, known) for word in asked if word not in endpoints})
    return endpoints, asked[0] if asked else default_layer(known, all_through, name)


def _weighed(part: Graph, name: str) -> Mapping[str, tf.NodeDef]:
    """A part's heavy constants, if all of its constants together can be what they claim."""
    check_constants(itertools.chain(part.graph_def.node, part.heavy.values()), name)
    return part.heavy


def _checked(values: Values) -> Values:
    """The same values, which are looked at once the network has them."""
    return (
        dataclasses.replace(values, check=check_values)
        if isinstance(values, (FromCheckpoint, Opened, Restored))
        else values
    )


def _free_scope(graph: tf.Graph) -> str:
    """A scope in which there are no operations; TensorFlow does not know those that were imported."""
    taken = {operation.name.partition("/")[0] for operation in graph.get_operations()}
    names = itertools.chain(["explained"], (f"explained_{number}" for number in itertools.count(1)))
    return next(name for name in names if name not in taken)


def _imported(part: tf.GraphDef, inputs: dict[str, tf.Tensor], logits: str, loops: Sequence[bytes]) -> tf.Tensor:
    """Imports into the current graph and scope: the logits, `[N, C]` float32, or `[N, h, w, C]` of a map."""
    (tensor,) = imported(part, inputs, [logits], "network", loops)
    return tf.cast(tf.squeeze(tensor, [1, 2]) if (shape_of(tensor) or [])[1:-1] == [1, 1] else tensor, tf.float32)


def _directions(output: tf.Tensor) -> tf.Tensor:
    """The only output z `[N, 1]` as logits `[N, 2]`: -z and z, each with its own gradient; likewise of a map."""
    return tf.multiply(output, tf.constant([[-1.0, 1.0]]), name="directions")


def _name(tensor: tf.Tensor, scope: str) -> str:
    """A layer's name in the original graph."""
    return tensor.op.name.removeprefix(f"{scope}network/")


def _layer(graph: tf.Graph, scope: str, layer: str, known: Sequence[str]) -> tf.Tensor:
    """A tensor that is no activation, but that the user wants explained; or what a scope of that name hands on."""
    try:
        tensor = tensor_named(graph, f"{scope}network/{layer}")
    except KeyError as error:
        found = outputs_of_scope(graph, f"{scope}network/", layer)
        if len(found) > 1:
            names = ", ".join(_name(tensor, scope) for tensor in found)
            raise UnknownName(f"layer {layer!r} may be any of {names}: give one of these") from error
        if not found:
            raise UnknownName(f"there is no layer {layer!r}; the layers are {', '.join(known)}") from error
        (tensor,) = found
    if tensor.shape.ndims != 4:
        raise BadValue(f"layer {layer!r} has no spatial extent: it is {tensor.shape}, not [N, h, w, K]")
    return tensor
