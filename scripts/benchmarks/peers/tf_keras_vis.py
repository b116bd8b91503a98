"""tf-keras-vis: `Gradcam`, and `Saliency` of a model with its `GuidedBackpropagation`."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import tensorflow as tf
from tf_keras_vis.gradcam import Gradcam
from tf_keras_vis.saliency import Saliency
from tf_keras_vis.utils.model_modifiers import GuidedBackpropagation
from tf_keras_vis.utils.scores import CategoricalScore

from peers.keras_networks import KerasPeer


class Peer(KerasPeer):
    """As its documentation has it, without the normalisation to [0, 1] and the enlargement of the maps.

    The model needs no `ReplaceToLinear`: it ends in logits.
    """

    def __init__(self, network: str, weights: Mapping[str, np.ndarray], precision: str):
        super().__init__(network, weights, precision)
        self._gradcam = Gradcam(self.model)
        self._saliency = Saliency(self.model, model_modifier=GuidedBackpropagation())

    def predicted(self, inputs: np.ndarray) -> None:
        """None: a score may be any function of the logits, so the highest one costs no second forward pass."""

    def cam(self, inputs: np.ndarray, targets: np.ndarray | None) -> np.ndarray:
        return self._gradcam(
            _score(targets),
            inputs,
            penultimate_layer=self.layer,
            seek_penultimate_conv_layer=False,
            expand_cam=False,
            normalize_cam=False,
        )

    def guided(self, inputs: np.ndarray, targets: np.ndarray | None) -> np.ndarray:
        return self._saliency(_score(targets), inputs, keepdims=True, gradient_modifier=None, normalize_map=False)


def _score(targets: np.ndarray | None) -> Callable[[tf.Tensor], tf.Tensor]:
    if targets is None:
        return lambda logits: tf.reduce_max(logits, axis=-1)
    return CategoricalScore([int(target) for target in targets])
