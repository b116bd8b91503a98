"""Random weights that any program with NumPy can draw again: those that Caffe was given."""

import numpy as np


def random_weights(network, seed=0):
    """`{variable name: float32 array}` for a VGG16 or a ResNet, from one legacy random stream.

    VGG16 layer by layer, weights before biases; a ResNet in the order of the sorted names.
    """
    rng = np.random.RandomState(seed)
    shapes = {name: tuple(variable.shape.as_list()) for name, variable in network.variables().items()}
    names = list(shapes) if network.name.startswith("vgg") else sorted(shapes)
    return {name: _draw(rng, name, shapes[name]).astype(np.float32) for name in names}


def _draw(rng, name, shape):
    kind = name.rsplit("/", 1)[1]
    if kind == "weights":
        gain = 1 if name.endswith("/logits/weights") else 2
        return rng.standard_normal(shape) * np.sqrt(gain / np.prod(shape[:-1]))
    if kind in ("gamma", "moving_variance"):
        return 0.5 + rng.rand(*shape)
    return 0.1 * rng.standard_normal(shape)  # biases, beta, moving_mean
