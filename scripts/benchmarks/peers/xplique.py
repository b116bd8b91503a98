"""Xplique: `GradCAM` and `GuidedBackprop`."""

from __future__ import annotations

import functools
from collections.abc import Mapping

import numpy as np
import tensorflow as tf
from xplique.attributions import GradCAM, GuidedBackprop

from peers.keras_networks import KerasPeer

_STRIDES = {"vgg16": 16, "resnet_v1_50": 32}  # of the explained layer against the image


class Peer(KerasPeer):
    """One batch of all pictures, with one-hot targets; the model ends in logits, as the library advises."""

    def __init__(self, network: str, weights: Mapping[str, np.ndarray], precision: str):
        super().__init__(network, weights, precision)
        self._stride = _STRIDES[network]
        self._gradcam = GradCAM(self.model, batch_size=None, conv_layer=self.layer)
        self._guided = GuidedBackprop(self.model, batch_size=None, reducer=None)

    def cam(self, inputs: np.ndarray, targets: np.ndarray) -> np.ndarray:
        enlarged = np.asarray(self._gradcam(inputs, self._one_hot(targets)))[..., 0]
        rows, columns = (_shrinking(size, self._stride) for size in enlarged.shape[1:])
        return np.maximum(rows @ enlarged @ columns.T, 0)

    def guided(self, inputs: np.ndarray, targets: np.ndarray) -> np.ndarray:
        return self._guided(inputs, self._one_hot(targets))

    def _one_hot(self, targets: np.ndarray) -> np.ndarray:
        return np.eye(self.model.output.shape[-1], dtype=np.float32)[targets]


@functools.cache
def _shrinking(size: int, stride: int) -> np.ndarray:
    """`[h, size]`: undoes the cubic enlargement of the maps, whose overshoot is no part of Grad-CAM."""
    small = -(-size // stride)
    enlarging = tf.image.resize(np.eye(small, dtype=np.float32)[..., None], (size, small), "bicubic")[..., 0]
    return np.linalg.pinv(enlarging)
