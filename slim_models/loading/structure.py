"""What a graph does with pixels itself, before its first convolution, and so which preprocessing it wants.

Only where the numbers tell: scales and means that are those of pixels, in constants. Anything else, a batch norm of the
input above all, is left to `evidence`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import tensorflow.compat.v1 as tf

from slim_models.backward import reached, signal_path
from slim_models.builders import Affine
from slim_models.loading.passes import VARIABLES, Graph, Say, imported
from slim_models.loading.tensors import CONVOLUTIONS
from slim_models.running import new_session

_LAYERS = (*CONVOLUTIONS, "MatMul", "BatchMatMul", "BatchMatMulV2", "Einsum")
# What changes numbers by adding and multiplying, and so says something of their range.
_ARITHMETIC = {"Mul", "RealDiv", "Add", "AddV2", "Sub", "BiasAdd", "Neg"}
# What copies, moves or averages them.
_MOVING = """
    Identity Cast Snapshot StopGradient PreventGradient EnsureShape Reshape ExpandDims Squeeze Transpose StridedSlice
    Slice Reverse ReverseV2 Concat ConcatV2 Pack Unpack Split SplitV Pad PadV2 MirrorPad Gather GatherV2
    ResizeNearestNeighbor ResizeBilinear ResizeBicubic ResizeArea ScaleAndTranslate CropAndResize
"""
_KNOWN_MEANS = (  # of R, G, B
    (123.68, 116.779, 103.939),  # ImageNet
    (129.19, 104.76, 93.59),  # VGGFace
    (131.09, 103.88, 91.5),  # VGGFace2
    (125.3, 123.0, 113.9),  # CIFAR
)
_OF_CAFFE = re.compile(r"(^|/)(block1_conv1|conv1_conv)(_\d+)?/")  # first layers of Keras' VGGs and ResNets
_MIDDLES = (0, 127.5, 128, 127)  # what becomes 0
_NEAR = 1.5  # between means of the same data, as people write them: 123.68, 123, 124


class Arithmetic(NamedTuple):
    """What a graph makes of a pixel: `(pixel - mean) / std`, each a number a channel, of the channels as they come in.

    Attributes:
        mean: `[C]`.
        std: `[C]`, above 0.
        reversed: whether the graph reverses the channels.
    """

    mean: np.ndarray
    std: np.ndarray
    reversed: bool = False


# Preprocessing -> what becomes of the numbers of a graph behind it, in terms of R, G and B in [0, 255].
_CHOICES: dict[str, Callable[[Arithmetic], Arithmetic]] = {
    "none": lambda own: own,
    "bgr": lambda own: Arithmetic(own.mean[::-1], own.std[::-1], not own.reversed),
    "zero_to_one": lambda own: Arithmetic(own.mean * 255, own.std * 255, own.reversed),
    "minus_one_to_one": lambda own: Arithmetic((own.mean + 1) * 127.5, own.std * 127.5, own.reversed),
}


def told(part: Graph, images: str, logits: str, shape: Sequence[int | None], say: Say) -> str | None:
    """The preprocessing that the graph's own arithmetic asks for.

    Args:
        part: the operations between pictures and logits.
        images: name of the tensor of the pictures.
        logits: name of the logits.
        shape: of the pictures, `[N, H, W, C]`, or `[N, C, H, W]` if that is what the graph takes.
        say: is told what was found.

    Returns:
        `none`, `bgr`, `zero_to_one` or `minus_one_to_one`; None if the graph does not say.
    """
    ends = _before_first_layer(part.inferred, images, logits)
    own = None if ends is None else _arithmetic(part, images, ends, shape)
    chosen = None if own is None else wanted(own)
    if own is not None and chosen is not None:
        say(f"preprocessing: {chosen} (found: the graph {_text(own, chosen)} itself)")
    return chosen


def _before_first_layer(graph: tf.Graph, images: str, logits: str) -> tf.Tensor | None:
    """What the first convolution or dense layer reads, if pixels get there by arithmetic alone."""
    ys, xs = graph.get_tensor_by_name(logits), graph.get_tensor_by_name(images)
    passed: set[tf.Operation] = set()
    for op in signal_path(ys, [xs]):
        if op.type in _LAYERS:
            read = [tensor for tensor in op.inputs if tensor.op in passed]
            before = reached([op], lambda o: [t.op for t in o.inputs if t.op in passed])
            if len(read) != 1 or not any(o.type in _ARITHMETIC for o in before):
                return None
            return _as_picture(read[0], xs)
        if op.type not in _ARITHMETIC and op.type not in _MOVING.split():
            return None
        passed.add(op)
    return None


def _as_picture(tensor: tf.Tensor, images: tf.Tensor) -> tf.Tensor:
    """What a dense layer reads, before it was flattened."""
    while tensor.shape.ndims != 4 and tensor is not images and tensor.op.type in ("Reshape", "Squeeze", "Identity"):
        tensor = tensor.op.inputs[0]
    return tensor


def _arithmetic(part: Graph, images: str, end: tf.Tensor, shape: Sequence[int | None]) -> Arithmetic | None:
    """What becomes of each channel between two tensors; None if it is not `(pixel - mean) / std`."""
    first = _channel_axis(shape)
    count = shape[first]
    if count not in (1, 3) or _axis_of(end, count) is None:
        return None
    # Black, each channel alone, and a colour that shows whether it is these, added.
    colours = np.concatenate([np.zeros((1, count)), np.eye(count), np.full((1, count), 0.5)]).astype(np.float32)
    made = _made_of(part, images, end, shape, first, colours)
    return None if made is None else arithmetic_of(made, 1)


def arithmetic_of(made: np.ndarray, bright: float) -> Arithmetic | None:
    """What has become of colours, if it is `(pixel - mean) / std`; None otherwise.

    Args:
        made: `[2 + C, C]`, of black, of each channel alone, and of grey half as bright.
        bright: what a channel alone was.
    """
    offset, factors = made[0], (made[1:-1] - made[0]) / bright  # factors: [of the colour, of the channel]
    half = offset + factors.sum(0) * bright / 2
    if not np.allclose(made[-1], half, rtol=1e-3, atol=1e-3 * bright * np.abs(factors).max()):
        return None
    for turned in (False, True):
        own = factors[:, ::-1] if turned else factors
        scales = np.diag(own)
        if (scales > 0).all() and np.allclose(own, np.diag(scales), atol=1e-4 * scales.max()):
            return Arithmetic(-(offset[::-1] if turned else offset) / scales, 1 / scales, turned and len(scales) > 1)
    return None


def _channel_axis(shape: Sequence[int | None]) -> int:
    return 1 if len(shape) == 4 and shape[1] in (1, 3) and shape[3] not in (1, 3) else 3


def _axis_of(tensor: tf.Tensor, count: int | None) -> int | None:
    dims = tensor.shape.as_list() if tensor.shape.ndims == 4 else []
    return next((axis for axis in (3, 1) if dims and dims[axis] == count), None)


def _made_of(
    part: Graph, images: str, end: tf.Tensor, shape: Sequence[int | None], axis: int, colours: np.ndarray
) -> np.ndarray | None:
    """What becomes of pictures of one colour, in the middle: `[colour, C]`; None if variables decide it."""
    ops = reached(
        [end.op],
        lambda op: (
            [] if op.outputs[:1] == [end.graph.get_tensor_by_name(images)] else [tensor.op for tensor in op.inputs]
        ),
    )
    names = {op.name for op in ops}
    if any(op.type in VARIABLES or op.name in part.heavy for op in ops):
        return None
    nodes = [node for node in part.graph_def.node if node.name in names]
    graph_def = tf.GraphDef(node=nodes, versions=part.graph_def.versions, library=part.graph_def.library)
    size = [dim or 1 for dim in shape]
    with tf.Graph().as_default() as graph, new_session(graph) as session:
        fed = tf.placeholder(tf.float32, shape)
        (tensor,) = imported(graph_def, {images: fed}, [end.name])
        views = (colour.reshape([1, -1, 1, 1] if axis == 1 else [1, 1, 1, -1]) for colour in colours)
        results = [session.run(tensor, {fed: np.broadcast_to(view, size)}) for view in views]
    made = np.moveaxis(np.stack(results), 1 + (_axis_of(end, len(colours) - 2) or 3), -1).astype(np.float64)
    return made[:, 0, made.shape[2] // 2, made.shape[3] // 2]


def wanted(own: Arithmetic) -> str | None:
    """The preprocessing behind which what the graph does makes sense.

    Args:
        own: what the graph does with what it takes.

    Returns:
        The first under which, of R, G and B in [0, 255], numbers become what networks are trained on; None if there
        is none.
    """
    if np.allclose(own.mean, 0, atol=1e-3) and np.allclose(own.std, 1, rtol=1e-3):
        return None  # the order of the channels alone, or a factor of 1, says nothing
    for name, behind in _CHOICES.items():
        if _is_usual(behind(own)):
            return name
    return "none" if _is_of_pixels(own) else None


def usual(part: Graph) -> str | None:
    """What networks built like this one are trained with, as a rule; None if there is none.

    Keras' VGGs and ResNets, whose layers have such names, were trained in Caffe; networks of depthwise convolutions and
    ReLU6 are MobileNets of Google's and what came of them.
    """
    if any(_OF_CAFFE.search(name) for name in part.nodes):
        return "caffe_bgr"
    types = {node.op for node in part.graph_def.node}
    return "minus_one_to_one" if types >= {"DepthwiseConv2dNative", "Relu6"} else None


def as_preprocessing(own: Arithmetic, say: Say) -> str | Affine:
    """The preprocessing that does to pixels what a graph's own decoding does.

    Args:
        own: what decoding does.
        say: is told what was found.
    """
    count = len(own.mean)
    nothing = Arithmetic(np.zeros(count), np.ones(count))
    names = (name for name, behind in _CHOICES.items() if _alike(behind(nothing), own))
    chosen = next(names, None)
    means, stds = (tuple(float(f"{number:.6g}") for number in numbers) for numbers in (own.mean, own.std))
    numbers = Affine(means, stds, order="BGR" if own.reversed else "RGB")
    say(f"preprocessing: {chosen or numbers} (found: the graph's decoding {_text(own) or 'leaves pixels as they are'})")
    return chosen or numbers


def _alike(one: Arithmetic, other: Arithmetic) -> bool:
    near = np.allclose(one.std, other.std, rtol=2e-3) and np.allclose(one.mean, other.mean, atol=2e-3 * other.std.max())
    return near and one.reversed == other.reversed


def _is_usual(whole: Arithmetic) -> bool:
    """Whether R, G, B in [0, 255] become one of the ranges that networks are trained on, or lose a well-known mean."""
    mean, std = whole.mean, whole.std
    if _same(mean, std):
        return _is_scale(std) and any(np.allclose(mean, middle, atol=2e-3 * std[0]) for middle in _MIDDLES)
    known = len(mean) == 3 and any(np.allclose(mean, means, atol=_NEAR) for means in _KNOWN_MEANS)
    return known and (_is_scale(std) or _is_deviation(std))


def _is_of_pixels(own: Arithmetic) -> bool:
    """Whether the means, of whatever data, can only be of pixels in [0, 255], as 117 is (Inception of 2014)."""
    mean, std = own.mean, own.std
    if _same(mean, std) and np.allclose(std, 1, rtol=2e-3):
        return bool(20 < np.abs(mean[0]) < 256)
    return bool(((mean > 40) & (mean < 215)).all()) and (_is_scale(std) or _is_deviation(std))


def _same(mean: np.ndarray, std: np.ndarray) -> bool:
    """Whether all channels are treated alike."""
    return bool(np.ptp(mean) < 1e-3 * std.max() and np.ptp(std) < 1e-3 * std.max())


def _is_scale(std: np.ndarray) -> bool:
    return any(np.allclose(std, scale, rtol=2e-3) for scale in (1, 255, 256, 127.5, 128, 127))


def _is_deviation(std: np.ndarray) -> bool:
    """Whether they are such as photographs have: of ImageNet 58, 57 and 57."""
    return bool(((std > 25) & (std < 110)).all())


def _text(own: Arithmetic, chosen: str = "") -> str:
    """What a graph does, in words: subtracts 127.5 and divides by 127.5."""
    words = []
    if np.abs(own.mean).max() > 1e-3 * own.std.max():
        words.append(f"adds {_numbers(-own.mean)}" if (own.mean < 0).all() else f"subtracts {_numbers(own.mean)}")
    if not np.allclose(own.std, 1, rtol=2e-3):
        above = (own.std > 1).all()
        words.append(f"divides by {_numbers(own.std)}" if above else f"multiplies by {_numbers(1 / own.std)}")
    return " and ".join(words) + (", the means of B, G and R," if chosen == "bgr" else "")


def _numbers(values: np.ndarray) -> str:
    same = np.ptp(values) <= 1e-3 * np.abs(values).max()
    numbers = [f"{value:.4g}" for value in (values[:1] if same else values)]
    return numbers[0] if same else f"({', '.join(numbers)})"
