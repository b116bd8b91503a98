"""Fused operations of TensorFlow's graph optimisers, written out again: they have no gradient.

An optimiser (grappler's remapper, say) replaces a convolution, its bias and its activation by one
`_FusedConv2D` before a graph is run, and the file of an optimised graph has it too.
"""

from __future__ import annotations

import re
from collections.abc import Callable

import tensorflow.compat.v1 as tf

from slim_models.fused_parts import ACTIVATIONS, Writing, no_gradient

_CONVOLUTION = ("T", "strides", "padding", "explicit_paddings", "data_format", "dilations")
# Fused operation -> its first plain one, and which attributes that has.
_CONTRACTIONS = {
    "_FusedConv2D": ("Conv2D", _CONVOLUTION),
    "_FusedDepthwiseConv2dNative": ("DepthwiseConv2dNative", _CONVOLUTION),
    "_FusedMatMul": ("MatMul", ("T", "transpose_a", "transpose_b")),
}
# Names that begin with an underscore are TensorFlow's own, of graphs that are about to run.
_WITHOUT_GRADIENT = re.compile(
    r"_(?!Arg$|Retval$).*|Quantized.*|QuantizeV2|QuantizeDown.*|Dequantize|Requantiz.*|Uniform(Quanti|Dequanti|Requanti).*"
    r"|TPU.*|TRTEngineOp|Fused(Resize|Pad).*Conv2D"
)


def unfused(graph_def: tf.GraphDef) -> tf.GraphDef:
    """Writes every fused node as its plain operations.

    The last of them has the fused node's name, so that whatever reads it or names it finds it; the others are
    in its scope. The first waits for its control inputs.

    Args:
        graph_def: the graph; not changed. The functions of its library are kept as they are.

    Returns:
        `graph_def` itself if nothing in it is fused, else another graph with its library and versions.

    Raises:
        ValueError: a node is of a type that has no gradient and is not known here: other fusions, oneDNN's,
            quantized and accelerators' operations.
    """
    for node in graph_def.node:
        _check_known(node)
    if not any(node.op in _REWRITERS for node in graph_def.node):
        return graph_def
    taken = {node.name for node in graph_def.node}
    result = tf.GraphDef(library=graph_def.library, versions=graph_def.versions)
    for node in graph_def.node:
        if node.op in _REWRITERS:
            writing = Writing(result, node, taken)
            _REWRITERS[node.op](writing)
            writing.finish()
        else:
            result.node.add().CopyFrom(node)
    return result


def _check_known(node: tf.NodeDef) -> None:
    if node.op not in _REWRITERS and _WITHOUT_GRADIENT.fullmatch(node.op):
        raise no_gradient(node)


def _contraction(writing: Writing) -> None:
    """A convolution or a matrix product, then the `fused_ops` in their order, then their arguments in theirs."""
    first, attributes = _CONTRACTIONS[writing.node.op]
    if writing.attribute("filter_format").s not in (b"", b"HWIO"):
        raise no_gradient(writing.node, f" with filter_format {writing.attribute('filter_format').s.decode()!r}")
    writing.add(first, *writing.inputs[:2], kept=attributes)
    arguments = iter(writing.inputs[2 : 2 + writing.attribute("num_args").i])
    for part in writing.attribute("fused_ops").list.s:
        name = part.decode()
        if name == "BiasAdd":
            writing.add("BiasAdd", writing.tensor, next(arguments), kept=("T", "data_format"))
        elif name == "Add":
            writing.add("AddV2", writing.tensor, next(arguments))
        elif name == "FusedBatchNorm":
            _batch_norm(writing, writing.tensor, *(next(arguments) for _ in range(4)))
        elif name in ACTIVATIONS:
            ACTIVATIONS[name](writing)
        else:
            raise no_gradient(writing.node, f" with fused_ops {name!r}")


def _batch_norm(writing: Writing, *inputs: str) -> None:
    kept = ("T", "epsilon", "data_format")
    writing.add("FusedBatchNormV3", *inputs, kept=kept, U=tf.float32.as_datatype_enum, is_training=False)


def _batch_norm_ex(writing: Writing) -> None:
    """Batch norm, then a sum, then an activation."""
    kept = ("T", "U", "epsilon", "exponential_avg_factor", "data_format", "is_training")
    mode = writing.attribute("activation_mode").s.decode()
    if mode not in ("", "Identity", "Relu"):
        raise no_gradient(writing.node, f" with activation_mode {mode!r}")
    writing.add("FusedBatchNormV3", *writing.inputs[:5], kept=kept)
    for other in writing.inputs[5:]:
        writing.add("AddV2", writing.tensor, other)
    if mode == "Relu":
        writing.add("Relu", writing.tensor)


_REWRITERS: dict[str, Callable[[Writing], None]] = {
    **dict.fromkeys(_CONTRACTIONS, _contraction),
    "_FusedBatchNormEx": _batch_norm_ex,
}
