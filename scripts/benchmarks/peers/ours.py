"""This project, as its README uses it: an `Explainer` that is asked for no more than the task wants."""

from __future__ import annotations

import os
from collections.abc import Mapping

import numpy as np

from gradcam.terminal import quiet_tensorflow

with quiet_tensorflow():
    import slim_models
    from gradcam.explainer import Explainer


class Peer:
    """See `peers`; `weights` may also be one of our files, as users have them."""

    def __init__(self, network: str, weights: Mapping[str, np.ndarray] | str | os.PathLike, precision: str):
        self.network = network
        self.weights = weights
        self.options = {} if precision == "float32" else {"precision": precision}
        self.asked: tuple[bool, bool] | None = None
        self.explainer: Explainer | None = None

    def run(self, task: str, images: np.ndarray, targets: np.ndarray | None) -> dict[str, np.ndarray]:
        cam, guided = task != "guided", task in ("guided", "both")
        explainer = self._explainer(cam, guided)
        if task == "classes":
            explanation = explainer.explain_classes(images[0], targets)
        else:
            explanation = explainer.explain(images, targets)
        result = {"cam": explanation.cam()} if cam else {}
        return {**result, "guided": explanation.saliency["guided"]} if guided else result

    def _explainer(self, cam: bool, guided: bool) -> Explainer:
        """One that is asked for these; the one before is closed, for its memory."""
        if self.explainer is None or self.asked != (cam, guided):
            if self.explainer is not None:
                self.explainer.close()
            network = self._build()
            layers, rules = [network.default_layer] if cam else [], ("guided",) if guided else ()
            self.explainer = Explainer(network, self.weights, layers=layers, rules=rules, **self.options)
            self.asked = (cam, guided)
        return self.explainer

    def _build(self) -> slim_models.Network:
        if isinstance(self.weights, Mapping):
            return slim_models.build_for(self.network, self.weights)
        return slim_models.build(self.network)
