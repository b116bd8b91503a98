"""The part of a graph between pictures and logits."""

from __future__ import annotations

from collections.abc import Collection

import tensorflow.compat.v1 as tf

from slim_models.loading.passes.graph import SMALL, VARIABLES, Say, size_of, upstream
from slim_models.loading.passes.training import unfed
from slim_models.mistakes import BadValue

_CONTROL_FLOW = ("Switch", "Merge", "RefSwitch", "RefMerge", "Enter", "RefEnter")


def cut(graph_def: tf.GraphDef, images: tf.Tensor, logits: str) -> tf.GraphDef:
    """The operations that the logits depend on, from the images on, without devices.

    Args:
        graph_def: a graph without functions.
        images: which tensor of it (by name, type and shape) is the pictures; a placeholder takes the place of
            its operation.
        logits: name of the tensor.

    Returns:
        The part. It shares no operation with the rest, which says that it has side effects: a training step,
        a summary, an assertion.

    Raises:
        ValueError: the images are one of several outputs of an operation.
    """
    if images.value_index:
        raise BadValue(
            f"{images.name} is one of several outputs of an operation; give a tensor computed from it as images"
        )
    # An operation may wait for others that it does not read; only loops and conditions need that.
    waits = any(node.op in _CONTROL_FLOW for node in graph_def.node)
    nodes = {node.name: node for node in graph_def.node}
    wanted = {node.name for node in upstream(nodes, [images.name], [logits], waits=waits)}
    part = tf.GraphDef(versions=graph_def.versions)
    part.node.append(_placeholder(images))
    for node in graph_def.node:
        if node.name in wanted:
            part.node.append(node)
            _clean(part.node[-1], waits)
    return part


def _placeholder(images: tf.Tensor) -> tf.NodeDef:
    node = tf.NodeDef(name=images.op.name, op="Placeholder")
    node.attr["dtype"].type = images.dtype.base_dtype.as_datatype_enum
    node.attr["shape"].shape.CopyFrom(images.shape.as_proto())
    return node


def _clean(node: tf.NodeDef, waits: bool) -> None:
    node.device = ""
    node.attr.pop("_class", None)  # the operations that it is to be beside may not be there
    node.attr.pop("_output_shapes", None)
    if not waits:
        inputs = [word for word in node.input if not word.startswith("^")]
        del node.input[:]
        node.input.extend(inputs)


def shared(
    part: tf.GraphDef, graph: tf.Graph | None, heavy: Collection[str]
) -> tuple[tf.GraphDef, dict[str, tf.Tensor]]:
    """Takes out of a part what it has in common with the graph that it came from: variables and weights.

    Args:
        part: unchanged.
        graph: the original; None if there is nothing to share.
        heavy: names of operations that are not to be imported in any case.

    Returns:
        the rest, and the tensors of the graph by the names that the rest reads them under.
    """
    kept = {node.name for node in part.node if node.name in heavy or (graph is not None and _has_values(node))}
    rest = tf.GraphDef(versions=part.versions)
    rest.node.extend(node for node in part.node if node.name not in kept)
    return rest, {} if graph is None else {f"{name}:0": graph.get_tensor_by_name(f"{name}:0") for name in kept}


def _has_values(node: tf.NodeDef) -> bool:
    return node.op in VARIABLES or (node.op == "Const" and size_of(node) > SMALL)


def settled(part: tf.GraphDef, images: str, logits: str, say: Say) -> tf.GraphDef:
    """The part with constants for whatever else would have to be fed: that it is not training, that nothing drops out.

    Args:
        part: unchanged.
        images: name of the tensor of the pictures.
        logits: name of the tensor of the logits.
        say: is told what was guessed.

    Raises:
        ValueError: it is unclear what to feed.
    """
    asked = {node.name for node in unfed(part, [images], [logits]) if node.op != "PlaceholderWithDefault"}
    if not asked:
        return part
    result = tf.GraphDef(versions=part.versions)
    result.node.extend(_constant(node, say) if node.name in asked else node for node in part.node)
    return result


def _constant(node: tf.NodeDef, say: Say) -> tf.NodeDef:
    kind = tf.as_dtype(node.attr["dtype"].type)
    value = _inference_value(node.name.split("/")[-1].lower(), kind)
    if value is None:
        raise BadValue(
            f"the logits also depend on the input {node.name} ({kind.name}), which is no picture: give a graph "
            "without it, or name images and logits that do not need it"
        )
    say(f"{node.name}: {value} (guessed by its name)")
    constant = tf.NodeDef(name=node.name, op="Const")
    constant.attr["dtype"].type = node.attr["dtype"].type
    constant.attr["value"].tensor.CopyFrom(tf.make_tensor_proto(value, kind, shape=[]))
    return constant


def _inference_value(name: str, kind: tf.DType) -> bool | float | None:
    """What a network that is not being trained is fed, by the name of the placeholder."""
    if kind == tf.bool and any(word in name for word in ("train", "phase")):
        return False
    if kind.is_floating and "keep" in name:
        return 1.0
    return 0.0 if kind.is_floating and "drop" in name else None
