"""tf-explain: the gradients and the map of its `GradCAM`, without the colours that `explain` puts over them."""

from __future__ import annotations

import numpy as np
from tf_explain.core.grad_cam import GradCAM

from peers.keras_networks import KerasPeer


class Peer(KerasPeer):
    """It knows Grad-CAM only; one call explains one class, of any number of pictures.

    `use_guided_grads` is off: by default the library gates the gradients, which is not Grad-CAM. The
    library leaves out the ReLU of the map.
    """

    def cam(self, inputs: np.ndarray, targets: np.ndarray) -> np.ndarray:
        maps: dict[int, np.ndarray] = {}
        for target in np.unique(targets):
            chosen = np.flatnonzero(targets == target)
            activations, gradients = GradCAM.get_gradients_and_filters(
                self.model, inputs[chosen], self.layer, int(target), use_guided_grads=False
            )
            maps.update(zip(chosen, GradCAM.generate_ponderated_output(activations, gradients)))
        return np.maximum([maps[i] for i in range(len(inputs))], 0)
