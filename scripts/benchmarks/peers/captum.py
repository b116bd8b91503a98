"""captum, as its API reference and tutorials use it: `LayerGradCam` and `GuidedBackprop`, which want a class."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from captum.attr import GuidedBackprop, LayerGradCam

from peers import torch_networks


class Peer:
    """See `peers`."""

    def __init__(self, network: str, weights: Mapping[str, np.ndarray], precision: str):
        self.network = torch_networks.build(network, weights, precision)
        self.grad_cam = LayerGradCam(self.network, self.network.trunk)
        self.guided_backprop = GuidedBackprop(self.network)

    def run(self, task: str, images: np.ndarray, targets: np.ndarray | None) -> dict[str, np.ndarray]:
        inputs = self.network.inputs(images)
        if task == "classes":
            inputs = inputs.expand(len(targets), -1, -1, -1).contiguous()
        if targets is None:
            with torch.no_grad():
                classes = self.network(inputs).argmax(1)
        else:
            classes = torch.as_tensor(targets)
        result = {}
        if task != "guided":
            cam = self.grad_cam.attribute(inputs, target=classes, relu_attributions=True)
            result["cam"] = cam[:, 0].detach().float().numpy()
        if task in ("guided", "both"):
            result["guided"] = self.network.to_rgb(self.guided_backprop.attribute(inputs, target=classes))
        return result
