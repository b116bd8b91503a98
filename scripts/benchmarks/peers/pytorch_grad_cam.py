"""pytorch-grad-cam, as its README uses it; its guided backprop takes one picture at a time."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from pytorch_grad_cam import GradCAM, GuidedBackpropReLUModel
from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget

from peers import torch_networks


class Peer:
    """See `peers`."""

    def __init__(self, network: str, weights: Mapping[str, np.ndarray], precision: str):
        self.network = torch_networks.build(network, weights, precision)
        self.grad_cam = GradCAM(model=self.network, target_layers=[self.network.trunk])
        self.guided_backprop = GuidedBackpropReLUModel(model=self.network, device="cpu")

    def run(self, task: str, images: np.ndarray, targets: np.ndarray | None) -> dict[str, np.ndarray]:
        inputs = self.network.inputs(images)
        result = {}
        if task == "classes":
            inputs = inputs.expand(len(targets), -1, -1, -1)
        if task != "guided":
            wanted = None if targets is None else [ClassifierOutputTarget(int(target)) for target in targets]
            result["cam"] = self.grad_cam(input_tensor=inputs, targets=wanted)
        if task in ("guided", "both"):
            classes = [None] * len(inputs) if targets is None else targets
            pairs = zip(inputs, classes)
            maps = np.stack([self.guided_backprop(one[None].clone(), target_category=c) for one, c in pairs])
            result["guided"] = self.network.to_rgb(torch.from_numpy(maps.transpose(0, 3, 1, 2)))
        return result
