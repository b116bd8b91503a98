"""NCHW to NHWC: graphs written for GPUs, on any device and with activations `[N, h, w, K]`.

cuDNN's layout has the channels before height and width; TensorFlow's own kernels for CPUs have it not,
and everything here that takes activations takes `[N, h, w, K]`. Graphs converted from PyTorch, and Keras'
`channels_first` on CPUs, have every convolution in NHWC between two Transposes, and all else in NCHW.
"""

from __future__ import annotations

import tensorflow.compat.v1 as tf

from slim_models.data_formats import is_channels_first, with_data_format
from slim_models.graph_defs import constants, data_inputs, topological
from slim_models.layout_rules import RULES
from slim_models.tensor_layouts import TO_FIRST, TO_LAST, TensorLayouts


def channels_last(graph_def: tf.GraphDef) -> tf.GraphDef:
    """Turns a graph in NCHW into one in NHWC that computes the same.

    Operations with a data_format, and what is computed from them element by element or axis by axis,
    keep their names, their tensors becoming `[N, h, w, K]`. What must have NCHW (a Reshape before a fully
    connected layer) reads it through a Transpose, and so do the first operations if the images are NCHW:
    placeholders and weights stay as they are. Functions in the library stay too.

    Args:
        graph_def: of a classifier, without the operations of its training.

    Returns:
        A new GraphDef; `graph_def` itself if none of its nodes is in NCHW and no convolution between Transposes.

    Raises:
        ValueError: an operation in a layout that has the channels first and no known counterpart: NCDHW, say.
    """
    if not any(is_channels_first(node) for node in graph_def.node) and not _has_wrapped_convolutions(graph_def):
        return graph_def
    layouts = TensorLayouts(graph_def)
    for node in topological(graph_def):
        _convert(layouts, layouts.rewriting.copy(node))
    return layouts.rewriting.result


def _has_wrapped_convolutions(graph_def: tf.GraphDef) -> bool:
    values = constants(graph_def)
    transposes = (node for node in graph_def.node if node.op == "Transpose")
    orders = {f"{node.name}:0": tuple(values.get(data_inputs(node)[1], ())) for node in transposes}
    convolutions = (node for node in graph_def.node if node.op in ("Conv2D", "DepthwiseConv2dNative"))
    to_last = any(orders.get(data_inputs(node)[0]) == TO_LAST for node in convolutions)
    return to_last and TO_FIRST in orders.values()


def _convert(layouts: TensorLayouts, node: tf.NodeDef) -> None:
    rule = with_data_format if is_channels_first(node) else RULES.get(node.op)
    outputs = rule(layouts, node) if rule else None
    if outputs is None:
        inputs = data_inputs(node)
        node.input[: len(inputs)] = [layouts.as_first(tensor) for tensor in inputs]
    layouts.last.update(f"{node.name}:{index}" for index in range(outputs or 0))
