"""How a graph takes its pictures: the order of its axes, and whether in colour or grey."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import tensorflow.compat.v1 as tf

from slim_models.loading.tensors import shape_of, text_of
from slim_models.mistakes import BadValue

_AXES = {"NHWC": (0, 1, 2, 3), "NCHW": (0, 3, 1, 2)}


class Layout(NamedTuple):
    """The order of a graph's input, and its channels.

    Attributes:
        order: `"NHWC"`, `"NCHW"`, or `"NHW"` of grey pictures without an axis for channels.
        channels: 3 of RGB, 1 of grey.
    """

    order: str = "NHWC"
    channels: int = 3

    @property
    def grey(self) -> bool:
        """Whether the graph takes one number a pixel."""
        return self.channels == 1

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
    """The layouts that a graph's input may have, by its shape; of several the likeliest first.

    Raises:
        ValueError: pictures are of neither three channels nor one.
    """
    shape = shape_of(tensor)
    unknown = [Layout(), Layout(channels=1)]
    if shape is None:
        return unknown
    if len(shape) == 3 and not {1, 3} & set(shape[1:]):
        return [Layout("NHW", 1)]
    if len(shape) == 4:
        for channels in (3, 1):
            found = [Layout(order, channels) for order in _AXES if shape[order.index("C")] == channels]
            if found:
                return found[:1]
        if None in (shape[1], shape[3]):
            return unknown
    raise BadValue(f"{text_of(tensor)} takes no pictures: neither RGB [N, H, W, 3] nor grey [N, H, W, 1] or [N, H, W]")
