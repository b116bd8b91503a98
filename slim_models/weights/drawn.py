"""Random weights that any program with NumPy can draw again: those that Caffe was given for the comparisons."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:  # for the types alone: nothing here needs TensorFlow
    from slim_models.network import Network


def random_weights(network: Network, seed: int = 0) -> dict[str, np.ndarray]:
    """Weights that classify nothing, but make every number of a network depend on every other.

    They are drawn from one legacy random stream: a VGG's layer by layer, weights before biases; any other's in
    the order of the sorted names.

    Args:
        network: as `build` returns it.
        seed: of the stream.

    Returns:
        Variable name -> float32 array: kernels of mean 0 and variance 2 / inputs (He et al. 2015, eq. 10; 1 / inputs
        before a ResNet's logits), scales of batch norm in [0.5, 1.5), and offsets of standard deviation 0.1.
    """
    rng = np.random.RandomState(seed)
    shapes = network.weight_shapes()
    names = list(shapes) if network.name.startswith("vgg") else sorted(shapes)
    return {name: _draw(rng, name, shapes[name]).astype(np.float32) for name in names}


def _draw(rng: np.random.RandomState, name: str, shape: tuple[int, ...]) -> np.ndarray:
    kind = name.rsplit("/", 1)[1]
    if kind == "depthwise_weights":  # each kernel sees one channel
        return rng.standard_normal(shape) * np.sqrt(2 / np.prod(shape[:2]))
    if kind == "weights":
        gain = 1 if name.endswith("/logits/weights") else 2
        return rng.standard_normal(shape) * np.sqrt(gain / np.prod(shape[:-1]))
    if kind in ("gamma", "moving_variance"):
        return 0.5 + rng.rand(*shape)
    return 0.1 * rng.standard_normal(shape)  # biases, beta, moving_mean
