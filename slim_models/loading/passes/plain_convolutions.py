"""Convolutions in groups or with dilation, written as plain ones, which can be differentiated everywhere.

TensorFlow's own kernels for CPUs have no gradient of either, and oneDNN's only for some types and paddings; of a
dilated depthwise convolution that one is another's gradient, and nothing says so.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import tensorflow.compat.v1 as tf

from slim_models.loading.passes.graph import Graph, Rewriting, data_inputs

_CONVOLUTIONS = ("Conv2D", "DepthwiseConv2dNative")
Convolution = Callable[[tf.Tensor, tf.Tensor], tf.Tensor]


def plain_convolutions(graph: Graph) -> Graph:
    """Writes every convolution in groups or with dilation, in NHWC, as convolutions without.

    One whose groups have one channel each is a depthwise convolution; of others each group is convolved by itself.
    One with dilation is computed on every d-th pixel at a time (Chen et al. 2015, section 3.1; `SpaceToBatchND`), or,
    with strides too, with zeros between the kernel's taps. What comes out keeps its name.

    Args:
        graph: whose convolutions have their channels last.

    Returns:
        Another graph, which computes the same; `graph` itself if it has no such convolutions.
    """
    found = {node.name for node in graph.graph_def.node if node.op in _CONVOLUTIONS and _is_of_kind(graph, node)}
    if not found:
        return graph
    rewriting = Rewriting(graph)
    for node in graph.graph_def.node:
        if node.name in found:
            rewriting.write(node, _Convolving(node).whole, _inputs(graph, node))
        else:
            rewriting.copy(node)
    return rewriting.finished()


def _inputs(graph: Graph, node: tf.NodeDef) -> list[tf.Tensor]:
    return [graph.inferred.get_tensor_by_name(name) for name in data_inputs(node)]


def _is_of_kind(graph: Graph, node: tf.NodeDef) -> bool:
    if node.attr["data_format"].s not in (b"", b"NHWC"):
        return False
    images, kernel = _inputs(graph, node)
    if not kernel.shape.is_fully_defined():
        return False
    return _Convolving(node).dilation != [1, 1] or (node.op == "Conv2D" and _groups(images, kernel) > 1)


def _groups(images: tf.Tensor, kernel: tf.Tensor) -> int:
    """The number of groups of a Conv2D, which says it by its shapes alone."""
    channels = images.shape[-1] if images.shape.ndims else None
    return 1 if channels is None else int(channels) // int(kernel.shape[2])


class _Convolving:
    """What a node computes, in other operations.

    Attributes:
        dilation: of the kernel's rows and columns.
        strides: of rows and columns.
        padding: `SAME`, `VALID`, or zeros before and after for every axis.
    """

    def __init__(self, node: tf.NodeDef) -> None:
        self._depthwise = node.op == "DepthwiseConv2dNative"
        self.dilation = [int(rate) for rate in node.attr["dilations"].list.i[1:3]] or [1, 1]
        self.strides = [int(stride) for stride in node.attr["strides"].list.i[1:3]]
        sides = [int(side) for side in node.attr["explicit_paddings"].list.i]
        self.padding = node.attr["padding"].s.decode()
        if self.padding == "EXPLICIT":
            self.padding = [sides[place : place + 2] for place in range(0, 8, 2)]

    def whole(self, images: tf.Tensor, kernel: tf.Tensor) -> tf.Tensor:
        """The convolution of images `[N, h, w, C]`."""
        groups = 1 if self._depthwise else _groups(images, kernel)
        if groups == 1:
            return self._dilated(images, kernel)
        if kernel.shape[2] == 1:
            self._depthwise = True
            rows, columns, _, outputs = kernel.shape.as_list()
            return self._dilated(images, tf.reshape(kernel, [rows, columns, groups, outputs // groups]))
        parts = zip(tf.split(images, groups, 3), tf.split(kernel, groups, 3))
        return tf.concat([self._dilated(*part) for part in parts], 3)

    def _dilated(self, images: tf.Tensor, kernel: tf.Tensor) -> tf.Tensor:
        if self.dilation == [1, 1]:
            return self._plain(images, kernel, self.strides, self.padding)
        if self.strides != [1, 1]:
            return self._plain(images, _spread(kernel, self.dilation), self.strides, self.padding)
        padding = self.padding
        if not isinstance(padding, str):
            images, padding = tf.pad(images, padding), "VALID"
        return tf.nn.with_space_to_batch(
            images,
            self.dilation,
            padding,
            lambda phases, _, inner: self._plain(phases, kernel, [1, 1], inner),
            filter_shape=kernel.shape.as_list()[:2],
        )

    def _plain(
        self, images: tf.Tensor, kernel: tf.Tensor, strides: Sequence[int], padding: str | Sequence[Sequence[int]]
    ) -> tf.Tensor:
        convolution = tf.nn.depthwise_conv2d_native if self._depthwise else tf.nn.conv2d
        return convolution(images, kernel, [1, *strides, 1], padding)


def _spread(kernel: tf.Tensor, dilation: Sequence[int]) -> tf.Tensor:
    """A kernel with zeros between its taps."""
    rows, columns, channels, outputs = kernel.shape.as_list()
    taps = tf.reshape(kernel, [rows, 1, columns, 1, channels, outputs])
    between = [[0, rate - 1] for rate in dilation]
    taps = tf.pad(taps, [[0, 0], between[0], [0, 0], between[1], [0, 0], [0, 0]])
    spread = tf.reshape(taps, [rows * dilation[0], columns * dilation[1], channels, outputs])
    return spread[: (rows - 1) * dilation[0] + 1, : (columns - 1) * dilation[1] + 1]
