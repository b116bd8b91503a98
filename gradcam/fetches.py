"""What a session run of an explained network fetches, added to the network's graph."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import tensorflow.compat.v1 as tf

import slim_models


def add_fetches(
    network: slim_models.Network, layers: Sequence[str], rules: Sequence[str], layer_rules: Sequence[str]
) -> tuple[tf.Tensor, dict[str, Any]]:
    """Adds everything that one run is to say to the graph.

    Args:
        network: whose graph it is.
        layers: endpoints whose activations and gradients are wanted.
        rules: ReLU rules under which saliency is wanted.
        layer_rules: ReLU rules, besides the true gradient's, under which the layers' signals are wanted.

    Returns:
        The placeholder of the targets, `[N]`, whose default is the prediction, and what to fetch, by the names
        of `Explanation`'s attributes.

    Raises:
        KeyError: an unknown rule.
    """
    with network.graph.as_default():
        # The default is the prediction, so that explaining it needs no second run.
        targets = tf.placeholder_with_default(tf.argmax(network.logits, axis=1), [None], name="targets")
        chosen = tf.one_hot(targets, network.num_classes, dtype=network.logits.dtype)
        total = tf.reduce_sum(network.logits * chosen)  # of every y^c; each depends on its own image alone
    activations = {layer: network.endpoints[layer] for layer in layers}

    def at_layers(rule: str) -> dict[str, tf.Tensor]:
        signals = slim_models.gradients(total, list(activations.values()), rule) if layers else []
        return dict(zip(layers, signals))

    return targets, {
        "logits": network.logits,
        "targets": targets,
        "activations": activations,
        "gradients": at_layers("backprop"),
        "signals": {rule: at_layers(rule) for rule in layer_rules},
        "saliency": {rule: slim_models.gradients(total, [network.images], rule)[0] for rule in rules},
    }
