"""How a graph takes its pictures: the order of its axes, and how many channels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import tensorflow.compat.v1 as tf

from slim_models.backward import reached, readers
from slim_models.loading.tensors import CONVOLUTIONS, shape_of, text_of
from slim_models.mistakes import BadValue

_AXES = {"NHWC": (0, 1, 2, 3), "NCHW": (0, 3, 1, 2)}


class Layout(NamedTuple):
    """The order of a graph's input, and its channels.

    Attributes:
        order: `"NHWC"`, `"NCHW"`, or `"NHW"` of grey pictures without an axis for channels.
        channels: 3 of RGB, 1 of grey, or K of anything else.
    """

    order: str = "NHWC"
    channels: int = 3

    @property
    def grey(self) -> bool:
        """Whether the graph takes one number a pixel."""
        return self.channels == 1

    @property
    def of_photographs(self) -> bool:
        """Whether photographs can be taken so."""
        return self.channels in (1, 3)

    def fed(self, number: int | None, height: int | None, width: int | None) -> list[int | None]:
        """The shape that the graph's input has for pictures of a size."""
        sizes = {"N": number, "H": height, "W": width, "C": self.channels}
        return [sizes[axis] for axis in self.order]

    def size(self, tensor: tf.Tensor) -> tuple[int | None, int | None]:
        """Height and width that the graph's input says itself."""
        shape = shape_of(tensor) or [None] * len(self.order)
        return shape[self.order.index("H")], shape[self.order.index("W")]

    def ordered(self, pictures: tf.Tensor) -> tf.Tensor:
        """Pictures `[N, H, W, channels]` as the graph takes them."""
        if self.order == "NHW":
            return tf.squeeze(pictures, [3])
        return pictures if self.order == "NHWC" else tf.transpose(pictures, _AXES[self.order])

    def fits(self, graph: tf.Graph) -> bool:
        """Whether a graph that was imported for these channels also means them.

        A convolution of one channel takes three as groups, if it makes a multiple of three; nobody has trained that.
        """
        convolutions = [op for op in graph.get_operations() if op.type in ("Conv2D", "_FusedConv2D")]
        depths = [(op.inputs[0].shape[-1:], op.inputs[1].shape[2:3]) for op in convolutions]
        return self.grey or not any(taken == [3] and meant == [1] for taken, meant in depths)


def layouts_of(tensor: tf.Tensor) -> Sequence[Layout]:
    """The layouts that a graph's input may have, by its shape and what convolutions read; the likeliest first.

    Args:
        tensor: of a graph whose convolutions are in NHWC, as `PART` leaves them.

    Raises:
        ValueError: it is of a rank that no pictures have.
    """
    shape = shape_of(tensor)
    if shape is not None and len(shape) == 3 and not {1, 3} & set(shape[1:]):
        return [Layout("NHW", 1)]
    if shape is not None and len(shape) != 4:
        raise BadValue(
            f"{text_of(tensor)} takes no pictures: neither [N, H, W, C] nor [N, C, H, W], nor grey ones [N, H, W]"
        )
    stated = [Layout(order, shape[order.index("C")] or 0) for order in _AXES] if shape else []
    depth, is_transposed = _read_by_convolutions(tensor)
    told = [layout for layout in stated if layout.channels == depth]
    if told:
        return told[-1:] if is_transposed else told[:1]
    for channels in (3, 1):
        found = [layout for layout in stated if layout.channels == channels]
        if found:
            return found[:1]
    read = [Layout(order, depth) for order in _AXES] if depth else []
    return [*_of_other_channels(shape or [None] * 4), Layout(), Layout(channels=1), *read]


def _of_other_channels(shape: Sequence[int | None]) -> list[Layout]:
    """The layout of pictures of more channels, as far as a shape `[N, ., ., .]` says one."""
    _, first, second, last = shape
    if first and last:
        return [Layout("NHWC", last) if last <= first else Layout("NCHW", first)]
    if last:
        return [Layout("NHWC", last)]
    return [Layout("NCHW", first)] if first and second is None else []


def _read_by_convolutions(tensor: tf.Tensor) -> tuple[int | None, bool]:
    """How many channels the first convolutions read, if that is one number; and whether a Transpose comes before."""
    way = reached(readers([tensor]), lambda op: [] if op.type in CONVOLUTIONS else readers(op.outputs))
    read = [op for op in way if op.type in CONVOLUTIONS and len(op.inputs) > 1]
    depths = {(shape_of(op.inputs[0]) or [None])[-1] or (shape_of(op.inputs[1]) or [None] * 3)[2] for op in read}
    return (depths.pop() if len(depths) == 1 else None), any(op.type == "Transpose" for op in way)
