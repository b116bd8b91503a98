"""Operations that say which layout they are in by a data_format, from NCHW to NHWC."""

from __future__ import annotations

import tensorflow.compat.v1 as tf

from slim_models.graph_defs import data_inputs
from slim_models.tensor_layouts import TO_LAST, TensorLayouts

# Types that have a data_format -> the input that is in it, and those that give sizes of the four axes.
WITH_DATA_FORMAT = {
    **dict.fromkeys(("Conv2D", "DepthwiseConv2dNative", "MaxPool", "AvgPool", "BiasAdd"), (0, ())),
    **dict.fromkeys(("FusedBatchNorm", "FusedBatchNormV2", "FusedBatchNormV3"), (0, ())),
    **dict.fromkeys(("SpaceToDepth", "DepthToSpace"), (0, ())),
    "MaxPoolV2": (0, (1, 2)),
    "Conv2DBackpropInput": (2, (0,)),
}


def format_of(node: tf.NodeDef) -> str:
    """The data_format of a node, or an empty string."""
    return node.attr["data_format"].s.decode() if "data_format" in node.attr else ""


def is_channels_first(node: tf.NodeDef) -> bool:
    """Whether the node is of a type and in a data_format with the channels before height and width."""
    return format_of(node).startswith(("NC", "CHANNELS_FIRST"))


def with_data_format(layouts: TensorLayouts, node: tf.NodeDef) -> int:
    """A node in NCHW, now in NHWC.

    Raises:
        ValueError: another layout or rank, or a type that is not in `WITH_DATA_FORMAT`.
    """
    inputs = data_inputs(node)
    images, sizes = WITH_DATA_FORMAT.get(node.op, (0, ()))
    rank = layouts.rank(inputs[images]) if inputs else None
    if node.op not in WITH_DATA_FORMAT or format_of(node) != "NCHW" or rank not in (None, 4):
        of_rank = f" with an input of rank {rank}" if rank not in (None, 4) else ""
        raise ValueError(
            f"{node.name!r} is a {node.op} in {format_of(node)}{of_rank}, which cannot be turned into NHWC; what can, "
            f"in NCHW and of rank 4: {', '.join(WITH_DATA_FORMAT)}"
        )
    node.attr["data_format"].s = b"NHWC"
    node.input[images] = layouts.as_last(inputs[images])
    for index in sizes:
        node.input[index] = layouts.per_axis(inputs[index])
    _permute_attributes(node)
    return 1


def _permute_attributes(node: tf.NodeDef) -> None:
    for name in ("strides", "dilations", "ksize"):
        if name in node.attr:
            values = node.attr[name].list.i
            values[:] = [values[axis] for axis in TO_LAST]
    if "explicit_paddings" in node.attr and node.attr["explicit_paddings"].list.i:
        paddings = node.attr["explicit_paddings"].list.i  # before and after, axis by axis
        paddings[:] = [paddings[2 * axis + side] for axis in TO_LAST for side in (0, 1)]
