"""Graphs that take encoded pictures: where they have pixels, and what their own decoding has done to these by then.

A graph says neither, least of all of a loop that decodes a batch. So its decoding is run, on pictures of one colour. A
loop that makes a batch of integers alike in size is no other, though the pictures come decoded.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import tensorflow.compat.v1 as tf
from PIL import Image

from slim_models.loading.confined import is_runnable
from slim_models.loading.passes import OF_PYTHON, OF_SHAPE, VARIABLES, Graph, Say, data_inputs, imported, upstream
from slim_models.loading.structure import Arithmetic, arithmetic_of
from slim_models.loading.tensors import CONVOLUTIONS, shape_of
from slim_models.mistakes import BadValue
from slim_models.running import new_session

_SIZES = ((40, 56), (72, 64))  # height and width of two pictures: what makes them alike has a size of its own
_BRIGHT = 254  # of 255, so that half of it is a whole number


class Decoded(NamedTuple):
    """Where pictures are fed in place of their files.

    Attributes:
        images: name of the tensor of their pixels.
        size: height and width that decoding gives them; None if it leaves them theirs, or does not tell.
        own: what decoding makes of a pixel in [0, 255]; None if that cannot be told.
    """

    images: str
    size: tuple[int, int] | None = None
    own: Arithmetic | None = None


def is_decoded(graph: Graph, images: tf.Tensor) -> bool:
    """Whether what takes the pictures takes files of them, or integers that a loop makes ready, one after another."""
    if images.dtype.base_dtype == tf.string:
        return True
    if not images.dtype.base_dtype.is_integer:
        return False
    integers = {images.name}
    for node in graph.computed_from(integers):
        if node.op not in OF_SHAPE and integers.intersection(data_inputs(node)):
            if node.op.startswith(("TensorArray", "TensorList")):
                return True
            outputs = graph.inferred.get_operation_by_name(node.name).outputs
            integers.update(tensor.name for tensor in outputs if tensor.dtype.base_dtype.is_integer)
    return False


def after_python(graph: Graph, images: str) -> str | None:
    """What Python code, which no file has, makes of pictures before the first convolution; None without such code."""
    if not any(node.op in OF_PYTHON for node in graph.nodes.values()):
        return None
    found = None
    for node in graph.computed_from([images]):
        if node.op in CONVOLUTIONS:
            break
        if node.op in OF_PYTHON and graph.inferred.get_operation_by_name(node.name).outputs[0].dtype.is_floating:
            goes_on = any(other.op in CONVOLUTIONS for other in graph.computed_from([f"{node.name}:0"]))
            found = f"{node.name}:0" if goes_on else found
    return found


def decoded(graph: Graph, given: tf.Tensor, say: Say) -> Decoded:
    """Finds where a graph that takes files of pictures has pixels, and what it has made of them.

    Args:
        graph: the graph, without functions.
        given: the tensor that takes files (JPEG, PNG), also in base64, or as a `tf.train.Example`; or integers (see
            `is_decoded`).
        say: is told what was found.

    Raises:
        ValueError: nothing after it are pictures.
    """
    name = after_decoding(graph, given.name)
    strings = given.dtype.base_dtype == tf.string
    if name is None:
        kind = "encoded pictures" if strings else "integers"
        raise BadValue(f"{given.name} takes {kind}, and nothing after it is [N, H, W, 3]; give images")
    how = f"what {'is decoded from' if strings else 'a loop makes of'} {given.name}"
    say(f"images: {name} (found: {how})")
    made = _made_of_colours(graph, given, name)
    if made is None:
        return Decoded(name)
    sizes = {pictures.shape[1:3] for pictures in made}
    size = sizes.pop() if len(sizes) == 1 else None
    first, second = (pictures[:, pictures.shape[1] // 2, pictures.shape[2] // 2] for pictures in made)
    # Of grey pictures, red, green and blue are shares of white, and rounded.
    rows = first[[0, 1, 2, 3, 5]] if first.shape[1] == 3 else first[[0, 4, 5]]
    alike = np.allclose(first, second, rtol=1e-3, atol=1e-3 * np.ptp(first))
    own = arithmetic_of(rows, _BRIGHT) if alike else None
    if size is not None and None in (shape_of(graph.inferred.get_tensor_by_name(name)) or [None])[1:]:
        say(f"image size: {size[0]} x {size[1]} (found: {how} has it)")
    return Decoded(name, size, own)


def after_decoding(graph: Graph, name: str) -> str | None:
    """Finds where a graph that takes encoded pictures (JPEG, PNG, a tf.Example) has pixels `[N, H, W, 3]`.

    Args:
        graph: the graph, without functions.
        name: the tensor of its placeholder of strings.

    Returns:
        The first floating-point tensor of rank 4 that is computed from `name`, of known size if one is: in
        classify_image_graph_def.pb (Inception, 2015), whose placeholder is `DecodeJpeg/contents`,
        `ResizeBilinear:0` `[1, 299, 299, 3]`. If a loop decodes a batch, the first after the loop, which may
        be of unknown rank. Its values are in the range that the graph has there, be it [0, 255] or [0, 1].
        None if there is no such tensor.
    """
    after = graph.computed_from([name])
    ranks: tuple[int | None, ...] = (4,)
    exits = [f"{node.name}:0" for node in after if node.op == "Exit"]
    if exits:
        after, ranks = graph.computed_from(exits), (4, None)
    tensors = [tensor for node in after for tensor in graph.inferred.get_operation_by_name(node.name).outputs]
    pictures = [tensor for tensor in tensors if tensor.dtype.is_floating and tensor.shape.ndims in ranks]
    of_known_size = [tensor for tensor in pictures if _is_of_known_size(tensor)]
    return next((tensor.name for tensor in (of_known_size or pictures)), None)


def _is_of_known_size(tensor: tf.Tensor) -> bool:
    _, height, width, channels = tensor.shape.as_list() if tensor.shape.ndims else [None] * 4
    return bool(height and width) and channels in (1, 3)


def _made_of_colours(graph: Graph, given: tf.Tensor, pixels: str) -> list[np.ndarray] | None:
    """What decoding makes of black, red, green, blue, white and grey, in two sizes, `[6, h, w, C]`; None if nothing."""
    nodes = upstream(graph.nodes, [], [pixels])
    if any(node.op in VARIABLES for node in nodes) or not is_runnable(nodes):
        return None
    graph_def = tf.GraphDef(node=nodes, versions=graph.graph_def.versions, library=graph.graph_def.library)
    colours = [(0, 0, 0), *(np.eye(3, dtype=int) * _BRIGHT).tolist(), (_BRIGHT,) * 3, (_BRIGHT // 2,) * 3]
    with tf.Graph().as_default() as own, new_session(own) as session:
        (tensor,) = imported(graph_def, wanted=[pixels])
        fed = own.get_tensor_by_name(given.name)
        for written in _ways_to_feed(graph, nodes, fed):
            try:
                runs = [[session.run(tensor, {fed: written(c, size)}) for c in colours] for size in _SIZES]
                made = [np.concatenate(pictures).astype(np.float64) for pictures in runs]
            except (tf.errors.OpError, ValueError):  # it takes files written in another way
                continue
            return made if all(m.ndim == 4 and len(m) == len(colours) and m.shape[3] in (1, 3) for m in made) else None
    return None


def _png(colour: Sequence[int], size: tuple[int, int]) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", size[::-1], tuple(colour)).save(file, "PNG")
    return file.getvalue()


def _ways_to_feed(graph: Graph, nodes: Sequence[tf.NodeDef], fed: tf.Tensor) -> Iterator[Callable[..., Any]]:
    """How a picture of a colour and size may have to be given, the likeliest first: alone or as a batch of one, wrapped
    or not."""
    if fed.dtype != tf.string:
        yield lambda colour, size: np.broadcast_to(np.array(colour, fed.dtype.as_numpy_dtype), (1, *size, 3))
        return
    parsing = next((node for node in nodes if node.op.startswith("Parse") and "Example" in node.op), None)
    keys = {} if parsing is None else _features(graph, parsing)

    def wrapped(colour: Sequence[int], size: tuple[int, int]) -> bytes:
        content = _png(colour, size)
        if any(node.op == "DecodeBase64" for node in nodes):
            content = base64.urlsafe_b64encode(content)
        return _example(keys, content) if keys else content

    if fed.shape.ndims != 0:
        yield lambda colour, size: [wrapped(colour, size)]
    if fed.shape.ndims in (0, None):
        yield wrapped


def _features(graph: Graph, parsing: tf.NodeDef) -> dict[str, int]:
    """The keys that a graph looks for in a `tf.train.Example`, and the types of what is under them."""
    words = [graph.constants[name] for name in data_inputs(parsing) if name in graph.constants]
    keys = [key for array in words if array.dtype == object for key in array.ravel().tolist()]
    keys += [key for name in ("sparse_keys", "dense_keys") for key in parsing.attr[name].list.s]
    types = [t for name in ("sparse_types", "Tdense") for t in parsing.attr[name].list.type]
    return {key.decode(): type_ for key, type_ in zip([key for key in keys if key], types)}


def _example(keys: dict[str, int], content: bytes) -> bytes:
    """An example whose strings are all the picture: which of them is one, only decoding tells."""
    example = tf.train.Example()
    for key, type_ in keys.items():
        feature = example.features.feature[key]
        if type_ == tf.string.as_datatype_enum:
            feature.bytes_list.value.append(content)
        elif type_ == tf.int64.as_datatype_enum:
            feature.int64_list.value.append(0)
        else:
            feature.float_list.value.append(0)
    return example.SerializeToString()
