"""Networks that take weights of the same shapes: a reference of one of them is not a wrong reference of another."""

from __future__ import annotations

import re
from collections.abc import Mapping

import numpy as np

import slim_models
from gradcam.comparison.agreement import relative_l2
from gradcam.comparison.preparation import prepared
from gradcam.comparison.references import Quantity, Reference
from gradcam.explainer import Explainer
from slim_models.network import Network

_RESNET = re.compile(r"resnet_v1(?:_5)?_(\d+)(?:_caffe|_tiny)?")  # they halve their maps in different places


def of_another(
    network: Network, weights: Mapping[str, np.ndarray] | None, reference: Reference, tolerance: float
) -> str | None:
    """Which other network, with the weights under its own names, gives the logits of a reference; None if none does.

    Args:
        network: that was compared.
        weights: its own, by variable name; None if they are not known by name.
        reference: with `logits`, or it is None.
        tolerance: greatest relative L2 difference of the logits.
    """
    match = _RESNET.fullmatch(network.name)
    if match is None or weights is None or "logits" not in reference.arrays:
        return None
    theirs = reference.of(Quantity("logits", "logits"), 0, 0)
    for name, entry in slim_models.NETWORKS.items():
        same = _RESNET.fullmatch(name)
        if same is None or same[1] != match[1] or name == network.name or not entry.less_mean:
            continue
        scope = entry.ends[0].partition("/")[0]
        renamed = {f"{scope}/{key.partition('/')[2]}": array for key, array in weights.items()}
        ours = _logits(name, renamed, reference)
        if theirs is not None and ours.shape == theirs.shape and relative_l2(ours, theirs) <= tolerance:
            return name
    return None


def _logits(name: str, weights: Mapping[str, np.ndarray], reference: Reference) -> np.ndarray:
    """`[C]`, of the first picture."""
    built = slim_models.open_network(name, weights, image_size=reference.images.shape[1])
    images = prepared(dict(reference.arrays), built.input_order, True).images[:1]
    with Explainer(built, layers=[], rules=[]) as explainer:
        fed = {built.images: images}
        return explainer.explain(np.zeros_like(images), None, overrides=fed).logits[0]
