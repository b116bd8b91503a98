"""The layers of a graph as the steps that CNN-Fixations goes back by: what each operation hands a unit on to."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING

import numpy as np

from gradcam import fixations
from gradcam.fixations import Point, Step, Window
from slim_models.backward import depending, signal_path
from slim_models.mistakes import BadValue

if TYPE_CHECKING:
    import tensorflow.compat.v1 as tf

    import slim_models

Back = Callable[[Point], Iterable[tuple[int, Point]]]
_ELEMENTWISE = {"BiasAdd", "Cast", "Identity", "LeakyRelu", "Relu", "Relu6", "Snapshot"}
_CONVOLUTIONS = {"Conv2D", "DepthwiseConv2dNative"}
_SUMS = {"Add", "AddN", "AddV2"}
_BATCH_NORM = ("gamma", "beta", "moving_mean", "moving_variance")
# Operation -> what its inputs are called but for the first, where they were learnt.
_LEARNT = {
    **dict.fromkeys((*_CONVOLUTIONS, "MatMul", "BatchMatMul", "BatchMatMulV2"), ("weights",)),
    **dict.fromkeys(("BiasAdd", "Add", "AddV2"), ("biases",)),
    **dict.fromkeys(("FusedBatchNorm", "FusedBatchNormV2", "FusedBatchNormV3"), _BATCH_NORM),
}
_SCALED = {"FusedBatchNorm", "FusedBatchNormV2", "FusedBatchNormV3", "Mul", "RealDiv"}


def weights_after(start: tf.Tensor, logits: tf.Tensor) -> dict[str, tf.Tensor]:
    """The tensors of what a network has learnt between a tensor and its logits, in the order of its graph.

    Args:
        start: where to begin, such as the activations of a layer.
        logits: where to end.

    Returns:
        Name -> tensor: of convolutions and products `OPERATION/weights`, of sums with vectors `OPERATION/biases`, of
        batch norms `OPERATION/gamma`, `beta`, `moving_mean` and `moving_variance`.
    """
    changing, found = depending([start]), {}
    for op in signal_path(logits, [start]):
        for name, tensor in zip(_LEARNT.get(op.type, ()), op.inputs[1:]):
            if tensor.op not in changing and tensor is not start:
                found[f"{op.name}/{name}"] = tensor
    return found


def steps_of(network: slim_models.Network, session: tf.Session, image: np.ndarray) -> Iterator[Step]:
    """The steps from a network's logits back to one picture.

    Args:
        network: whose logits are `[N, C]`.
        session: of its graph.
        image: `[1, H, W, K]`.

    Yields:
        A step for each operation, the last one first; its parameters are read when it is asked for.

    Raises:
        ValueError: the network has an operation that nothing is known of.
    """
    changing = depending([network.images]) | {network.images.op}
    path = _path(network, changing)
    entries = {op: _entry(op, changing) for op in path}
    wanted = {tensor.name: tensor for op in path for tensor in (*entries[op][0], op.outputs[0])}
    values = {name: array[0] for name, array in session.run(wanted, {network.images: image}).items()}
    # As the authors do: in a network with shortcuts at the peaks, but of the picture itself at the centres. Depthwise
    # networks, which they have not, reduce their maps by convolutions too: centres alone would be a grid.
    convolutions = [op for op in path if op.type in _CONVOLUTIONS]
    depthwise = any(op.type == "DepthwiseConv2dNative" for op in path)
    shortcuts = any(len(entries[op][0]) > 1 for op in path if op.type in _SUMS)
    at_peak = convolutions[1:] if shortcuts or depthwise else []
    for op in reversed(path):
        before, parameters = entries[op]
        rule = functools.partial(_convolved, at_peak=True) if op in at_peak else _RULES[op.type]
        names = tuple(tensor.name for tensor in before)
        back = rule(op, [values[name] for name in names], values[op.outputs[0].name], session.run(parameters))
        yield Step(op.outputs[0].name, names, back)


def _path(network: slim_models.Network, changing: set[tf.Operation]) -> list[tf.Operation]:
    """The operations from the picture to the logits, those within a convolution with holes left out."""
    path = [op for op in signal_path(network.logits, [network.images]) if op in changing]
    within = {op for last in path if _is_spread(last) for op in (last.inputs[0].op, last.inputs[0].op.inputs[0].op)}
    path = [op for op in path if op not in within]
    for op in path:
        if op.type not in _RULES or (op.type == "BatchToSpaceND" and not _is_spread(op)):
            known = "convolutions, pooling, sums, fully connected layers and ReLUs"
            raise BadValue(f"CNN-Fixations go back through {known}; {network.name} has {op.type} ({op.name})")
    return path


def _is_spread(op: tf.Operation) -> bool:
    """Whether this is the end of a convolution with holes, written as one of every so many places."""
    if op.type != "BatchToSpaceND" or op.inputs[0].op.type not in _CONVOLUTIONS:
        return False
    inner = op.inputs[0].op
    return inner.inputs[0].op.type == "SpaceToBatchND" and inner.get_attr("padding") == b"VALID"


def _entry(op: tf.Operation, changing: set[tf.Operation]) -> tuple[list[tf.Tensor], list[tf.Tensor]]:
    """What an operation makes its output of: tensors of the picture, and parameters."""
    tensors = list(op.inputs)
    if op.type == "BatchToSpaceND":
        inner = op.inputs[0].op
        tensors = [inner.inputs[0].op.inputs[0], inner.inputs[1], *inner.inputs[0].op.inputs[1:]]
    return [t for t in tensors if t.op in changing], [t for t in tensors if t.op not in changing]


def _window(op: tf.Operation, values: np.ndarray, output: np.ndarray, size: tuple[int, int]) -> Window:
    if op.get_attr("data_format") != b"NHWC":
        raise BadValue(f"CNN-Fixations want channels last, and {op.name} has {op.get_attr('data_format').decode()}")
    strides = tuple(op.get_attr("strides")[1:3])
    dilations = tuple(op.get_attr("dilations")[1:3]) if "Pool" not in op.type else (1, 1)
    if op.get_attr("padding") == b"EXPLICIT":
        pads = op.get_attr("explicit_paddings")
        before = (pads[2], pads[4])
    else:
        same = op.get_attr("padding") == b"SAME"
        sides = zip(values.shape, output.shape, size, strides, dilations)
        outside = [(out - 1) * stride + (k - 1) * dilation + 1 - side for side, out, k, stride, dilation in sides]
        before = tuple(max(total, 0) // 2 * same for total in outside)
    return Window(size, strides, before, dilations)


def _first(points: Iterable[Point]) -> list[tuple[int, Point]]:
    return [(0, point) for point in points]


def _passed(op: tf.Operation, inputs: list[np.ndarray], output: np.ndarray, parameters: list[np.ndarray]) -> Back:
    return lambda point: [(0, point)]


def _scaled(op: tf.Operation, inputs: list[np.ndarray], output: np.ndarray, parameters: list[np.ndarray]) -> Back:
    if len(inputs) != 1:
        raise BadValue(f"CNN-Fixations cannot tell what to go back to where two maps are multiplied ({op.name})")
    factors = parameters[0].reshape(parameters[0].shape[-output.ndim :])  # without an axis of pictures
    signs = np.broadcast_to(np.sign(factors), output.shape)
    return lambda point: [(0, (point[0], point[1] * (-1 if signs[point[0]] < 0 else 1)))]


def _subtracted(op: tf.Operation, inputs: list[np.ndarray], output: np.ndarray, parameters: list[np.ndarray]) -> Back:
    if len(inputs) != 1:
        raise BadValue(f"CNN-Fixations cannot tell what to go back to where two maps are subtracted ({op.name})")
    sign = 1 if np.allclose(output, inputs[0] - parameters[0]) else -1  # the map may be what is subtracted
    return lambda point: [(0, (point[0], sign * point[1]))]


def _summed(op: tf.Operation, inputs: list[np.ndarray], output: np.ndarray, parameters: list[np.ndarray]) -> Back:
    if len(inputs) == 1:
        return _passed(op, inputs, output, parameters)
    same = [np.broadcast_to(array, output.shape) for array in inputs]
    return lambda point: [fixations.greatest(same, point)]


def _convolved(
    op: tf.Operation,
    inputs: list[np.ndarray],
    output: np.ndarray,
    parameters: list[np.ndarray],
    at_peak: bool = False,
) -> Back:
    (values,), kernel = inputs, parameters[0]
    window = _window(op, values, output, kernel.shape[:2])
    if op.type != "DepthwiseConv2dNative" and output.shape[:2] == (1, 1) and kernel.shape[:2] == values.shape[:2]:
        return lambda point: _first(fixations.dense(values, kernel, point))
    rule = fixations.depthwise if op.type == "DepthwiseConv2dNative" else fixations.convolution
    return lambda point: _first(rule(values, kernel, window, point, at_peak))


def _spread(op: tf.Operation, inputs: list[np.ndarray], output: np.ndarray, parameters: list[np.ndarray]) -> Back:
    """A convolution with holes; they are in late layers of networks with shortcuts, and so at the peaks."""
    (values,), (kernel, holes, pads) = inputs, parameters
    (top, left), (down, across) = map(int, pads[:, 0]), map(int, holes)
    window = Window(kernel.shape[:2], (1, 1), (top, left), (down, across))
    inner = op.inputs[0].op.type
    rule = fixations.depthwise if inner == "DepthwiseConv2dNative" else fixations.convolution
    return lambda point: _first(rule(values, kernel, window, point, True))


def _multiplied(op: tf.Operation, inputs: list[np.ndarray], output: np.ndarray, parameters: list[np.ndarray]) -> Back:
    """A fully connected layer, over a map if that was made flat before it."""
    (values,), kernel = inputs, parameters[0].T if op.get_attr("transpose_b") else parameters[0]
    source = op.inputs[0]
    while source.op.type in ("Identity", "Reshape", "Squeeze") and source.shape.ndims == 2:
        source = source.op.inputs[0]
    shape = source.shape.as_list()[1:]
    is_map = source.shape.ndims == 4 and None not in shape and np.prod(shape) == values.size and max(shape[:2]) > 1
    if not is_map:
        return lambda point: _first(fixations.dense(values, kernel, point))
    whole, kernels = values.reshape(shape), kernel.reshape(*shape, -1)

    def back(point: Point) -> list[tuple[int, Point]]:
        found = fixations.dense(whole, kernels, point)
        return [(0, ((int(np.ravel_multi_index(index, shape)),), sign)) for index, sign in found]

    return back


def _pooled(op: tf.Operation, inputs: list[np.ndarray], output: np.ndarray, parameters: list[np.ndarray]) -> Back:
    window = _window(op, inputs[0], output, tuple(op.get_attr("ksize")[1:3]))
    return lambda point: _first(fixations.pooling(inputs[0], window, point))


def _averaged(op: tf.Operation, inputs: list[np.ndarray], output: np.ndarray, parameters: list[np.ndarray]) -> Back:
    """The mean of a whole map."""
    values = inputs[0]
    axes = sorted(int(axis) % (values.ndim + 1) for axis in np.ravel(parameters[0]))
    if values.ndim != 3 or axes != [1, 2]:
        raise BadValue(f"CNN-Fixations go back through means of whole maps, and {op.name} is one of axes {axes}")
    window = Window(values.shape[:2], (1, 1), (0, 0))
    return lambda point: _first(fixations.pooling(values, window, ((0, 0, point[0][-1]), point[1])))


def _reshaped(op: tf.Operation, inputs: list[np.ndarray], output: np.ndarray, parameters: list[np.ndarray]) -> Back:
    def back(point: Point) -> list[tuple[int, Point]]:
        place = np.ravel_multi_index(point[0], output.shape)
        return [(0, (tuple(map(int, np.unravel_index(place, inputs[0].shape))), point[1]))]

    return back


def _padded(op: tf.Operation, inputs: list[np.ndarray], output: np.ndarray, parameters: list[np.ndarray]) -> Back:
    """A point of the padding is that of the map next to it."""
    before, shape = parameters[0][1:, 0], inputs[0].shape

    def back(point: Point) -> list[tuple[int, Point]]:
        moved = zip(point[0], before, shape)
        return [(0, (tuple(int(np.clip(at - pad, 0, side - 1)) for at, pad, side in moved), point[1]))]

    return back


def _turned(op: tf.Operation, inputs: list[np.ndarray], output: np.ndarray, parameters: list[np.ndarray]) -> Back:
    axes = {int(axis) % (output.ndim + 1) - 1 for axis in np.ravel(parameters[0])}

    def back(point: Point) -> list[tuple[int, Point]]:
        sides = enumerate(zip(point[0], output.shape))
        return [(0, (tuple(side - 1 - at if axis in axes else at for axis, (at, side) in sides), point[1]))]

    return back


def _joined(op: tf.Operation, inputs: list[np.ndarray], output: np.ndarray, parameters: list[np.ndarray]) -> Back:
    axis = int(parameters[-1]) % (output.ndim + 1) - 1
    ends = np.cumsum([array.shape[axis] for array in inputs])
    if ends[-1] != output.shape[axis]:
        raise BadValue(f"CNN-Fixations go back to maps of the picture, and {op.name} joins others to them")

    def back(point: Point) -> list[tuple[int, Point]]:
        number = int(np.searchsorted(ends, point[0][axis], side="right"))
        start = int(ends[number]) - inputs[number].shape[axis]
        index = tuple(at - start if place == axis else at for place, at in enumerate(point[0]))
        return [(number, (index, point[1]))]

    return back


_RULES: dict[str, Callable[..., Back]] = {
    **dict.fromkeys(_ELEMENTWISE, _passed),
    **dict.fromkeys(_SUMS, _summed),
    **dict.fromkeys(_SCALED, _scaled),
    **dict.fromkeys(_CONVOLUTIONS, _convolved),
    **dict.fromkeys(["MaxPool", "AvgPool"], _pooled),
    **dict.fromkeys(["Reshape", "Squeeze", "ExpandDims"], _reshaped),
    **dict.fromkeys(["Pad", "PadV2", "MirrorPad"], _padded),
    "MatMul": _multiplied,
    "Sub": _subtracted,
    "BatchToSpaceND": _spread,
    "Mean": _averaged,
    "ReverseV2": _turned,
    "ConcatV2": _joined,
}
