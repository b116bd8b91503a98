"""torch-cam, as its README uses it: the extractor hooks a layer, then takes the classes and the model's output."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torchcam.methods import GradCAM

from peers import torch_networks


class Peer:
    """See `peers`."""

    def __init__(self, network: str, weights: Mapping[str, np.ndarray], precision: str):
        self.network = torch_networks.build(network, weights, precision)
        self.extractor = GradCAM(self.network, target_layer=self.network.trunk)

    def run(self, task: str, images: np.ndarray, targets: np.ndarray | None) -> dict[str, np.ndarray]:
        logits = self.network(self.network.inputs(images))
        if task == "classes":
            maps = [self.extractor(int(target), logits, retain_graph=True)[0] for target in targets]
            return {"cam": torch.cat(maps).float().numpy()}
        classes = (logits.argmax(1) if targets is None else torch.as_tensor(targets)).tolist()
        return {"cam": self.extractor(classes, logits)[0].float().numpy()}
