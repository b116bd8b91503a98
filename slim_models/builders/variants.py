"""Which variant of a network a file of weights belongs to: its classes and its width, by its shapes."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from slim_models.architectures import architecture
from slim_models.building import build
from slim_models.network import Network

_LOGITS = ("fc8/biases", "logits/biases", "Logits/Conv2d_1c_1x1/biases")


def build_for(name: str, weights: Mapping[str, np.ndarray], image_size: int | None = None) -> Network:
    """Builds the network of that name with the number of classes and the width that the weights have.

    Args:
        name: a key of `NETWORKS`.
        weights: variable name -> array.
        image_size: height and width of the images in pixels; None is what the weights say, which a VGG's
            do, or else the network's own.

    Returns:
        The network. If the weights are another network's, it is the ordinary one, and `check_weights`
        says what does not fit.

    Raises:
        KeyError: no such network.
        ValueError: the weights' first fully connected layer takes pictures of another size.
    """
    shapes = {variable: np.shape(array) for variable, array in weights.items()}
    entry = architecture(name)
    num_classes = next((shape[0] for variable, shape in shapes.items() if variable.endswith(_LOGITS)), None)
    first = next((shape for shape in shapes.values() if len(shape) == 4 and shape[2] == 3), (entry.depth,))
    width_divisor = entry.depth // first[-1] if entry.depth % first[-1] == 0 else None
    image_size = _image_size(shapes, entry.image_size if image_size is None else image_size, image_size)
    fc_width = shapes.get("fc6/biases", (None,))[0] if name.startswith("vgg") else None
    return build(name, image_size=image_size, num_classes=num_classes, width_divisor=width_divisor, fc_width=fc_width)


def _image_size(shapes: Mapping[str, tuple[int, ...]], size: int, asked: int | None) -> int:
    """The size, if a VGG's fc6 takes the pool5 of such pictures, or one that it does take, if none was asked for."""
    inputs, depth = (shapes.get(name, (0,))[0] for name in ("fc6/weights", "conv5_3/biases"))
    side = math.isqrt(inputs // depth) if inputs and depth else math.ceil(size / 32)
    if side == math.ceil(size / 32):
        return size
    if asked is None:
        return 32 * side
    raise ValueError(
        f"the pictures are {size} x {size}, but fc6/weights {list(shapes['fc6/weights'])} takes a pool5 of "
        f"{side} x {side}, of pictures of {32 * side} x {32 * side}"
    )
