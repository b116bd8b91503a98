"""The part of somebody's graph between pictures and logits, imported again as a `Network`."""

from __future__ import annotations

import functools
from collections.abc import Sequence

import tensorflow.compat.v1 as tf

from slim_models.cutting import shared
from slim_models.finding_layers import default_layer, find_layers
from slim_models.graph_defs import imported
from slim_models.heavy import restore, variables_of
from slim_models.network import Network
from slim_models.originals import Original
from slim_models.plans import Plan
from slim_models.preprocessing import PREPROCESSINGS
from slim_models.tensors import tensor_named


def rebuilt(original: Original, plan: Plan, preprocessing: str, layer: str | Sequence[str] | None) -> Network:
    """Imports the part, into the graph that has its variables or a new one, behind a placeholder of ours.

    Args:
        original: where the part comes from.
        plan: what to import.
        preprocessing: of `PREPROCESSINGS`.
        layer: as of `load`.

    Raises:
        KeyError: no such layer.
        ValueError: there is no layer to explain, or several could be the default.
    """
    graph, variables = original.graph or tf.Graph(), {}
    rest, inputs = shared(plan.part, original.graph, plan.heavy)
    with graph.as_default():
        if original.graph is None:
            variables = variables_of(plan.heavy)
            inputs.update({f"{name}:0": tf.convert_to_tensor(variable) for name, variable in variables.items()})
        with graph.name_scope("explained") as scope:
            images = tf.placeholder(tf.float32, plan.shape, name="images")
            prepared = PREPROCESSINGS[preprocessing](images)
            inputs[plan.images] = tf.transpose(prepared, [0, 3, 1, 2]) if plan.channels_first else prepared
            logits = _imported(rest, inputs, plan.logits)
    layers, bottlenecks = find_layers(images, logits)
    endpoints = {_name(tensor, scope): tensor for tensor in layers}
    asked = [layer] if isinstance(layer, str) else list(layer or [])
    known = list(endpoints)
    endpoints.update({name: _layer(graph, scope, name, known) for name in asked if name not in endpoints})
    default = (
        asked[0] if asked else default_layer(known, [_name(tensor, scope) for tensor in bottlenecks], original.name)
    )
    return Network(
        original.name,
        images,
        logits,
        endpoints,
        default,
        precision=endpoints[default].dtype.base_dtype.name,
        restore=functools.partial(restore, plan.heavy, variables) if variables else original.restore,
        session=original.session,
        input_order="BGR" if preprocessing == "caffe_bgr" else "RGB",
    )


def _imported(part: tf.GraphDef, inputs: dict[str, tf.Tensor], logits: str) -> tf.Tensor:
    """Imports into the current graph and scope: the logits, `[N, C]` float32."""
    (tensor,) = imported(part, inputs, [logits], "network")
    return tf.cast(tf.squeeze(tensor, [1, 2]) if tensor.shape.ndims == 4 else tensor, tf.float32)


def _name(tensor: tf.Tensor, scope: str) -> str:
    """A layer's name in the original graph."""
    return tensor.op.name.removeprefix(f"{scope}network/")


def _layer(graph: tf.Graph, scope: str, layer: str, known: Sequence[str]) -> tf.Tensor:
    """A tensor that is no activation, but that the user wants explained."""
    try:
        tensor = tensor_named(graph, f"{scope}network/{layer}")
    except KeyError as error:
        raise KeyError(f"there is no layer {layer!r}; the layers are {', '.join(known)}") from error
    if tensor.shape.ndims != 4:
        raise ValueError(f"layer {layer!r} has no spatial extent: it is {tensor.shape}, not [N, h, w, K]")
    return tensor
