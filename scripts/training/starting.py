"""Training goes on from a file of weights: also of a network whose batch norm was folded away."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import tensorflow.compat.v1 as tf

from slim_models.mistakes import BadValue
from slim_models.weights import fill


def start_from(
    session: tf.Session, variables: list[tf.Variable], feeds: list[dict], weights: Mapping[str, np.ndarray]
) -> None:
    """Gives variables their values by name; batch norm that the weights lack is put in without changing the network.

    A plain layer `w x + b` becomes batch norm of `w x` with gamma its deviation and beta its mean plus b. As batch
    norm undoes the scale of w, that is chosen anew, as He et al. (2015) draw it: the learning rate suits it.

    Args:
        session: of the graph with the network; what it predicts with is the stored statistics.
        variables: of the network, with batch norm or without.
        feeds: batches of pictures, from which deviations and means are taken.
        weights: variable name -> array.

    Raises:
        ValueError: a variable has no weights.
    """
    named = {variable.op.name: variable for variable in variables}
    values = {name: np.asarray(weights[name], np.float32) for name in named if name in weights}
    gammas = "/BatchNorm/gamma"
    layers = [name.removesuffix(gammas) for name in named if name.endswith(gammas) and name not in weights]
    layers = [layer for layer in layers if f"{layer}/biases" in weights]
    for layer in layers:
        biases = np.asarray(weights[f"{layer}/biases"], np.float32)
        identity = {"gamma": 1, "beta": biases, "moving_mean": 0, "moving_variance": 1}
        values.update({f"{layer}/BatchNorm/{part}": np.broadcast_to(x, biases.shape) for part, x in identity.items()})
    missing = sorted(set(named) - set(values))
    if missing:
        raise BadValue(f"the weights lack {', '.join(missing)}")
    fill(session, named, values.__getitem__)
    statistics = {layer: _moments(session.graph, layer) for layer in layers}
    found = [session.run(statistics, feed) for feed in feeds]
    for layer in layers:
        mean = np.mean([f[layer][0] for f in found], axis=0)
        deviation = np.sqrt(np.mean([f[layer][1] for f in found], axis=0) - mean**2 + 1e-8)
        kernel = values[f"{layer}/weights"]
        scale = np.sqrt(2) / np.maximum(1e-6, np.sqrt((kernel**2).sum(axis=tuple(range(kernel.ndim - 1)))))
        values[f"{layer}/weights"] = kernel * scale
        values[f"{layer}/BatchNorm/gamma"] = deviation
        values[f"{layer}/BatchNorm/beta"] = values[f"{layer}/BatchNorm/beta"] + mean
        values[f"{layer}/BatchNorm/moving_mean"] = mean * scale
        values[f"{layer}/BatchNorm/moving_variance"] = (deviation * scale) ** 2
    fill(session, named, values.__getitem__)


def _moments(graph: tf.Graph, layer: str) -> tuple[tf.Tensor, tf.Tensor]:
    """Mean and mean square `[K]` of what goes into a layer's batch norm by the stored statistics."""
    gamma = f"{layer}/BatchNorm/gamma"
    for op in graph.get_operations():
        plain = op.type == "FusedBatchNormV3" and not op.get_attr("is_training")
        if plain and op.inputs[1].op.inputs[0].op.name == gamma:
            with graph.as_default():
                inputs = tf.cast(op.inputs[0], tf.float32)
                return tf.reduce_mean(inputs, [0, 1, 2]), tf.reduce_mean(inputs**2, [0, 1, 2])
    raise BadValue(f"no batch norm of {layer} by the stored statistics")
