"""How much there is to compute: the multiplications of a network's layers, and of each task."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

from peers.pictures import CLASSES

import slim_models


@dataclasses.dataclass(frozen=True)
class Layer:
    """A convolution or a fully connected layer, for one picture.

    Attributes:
        name: of its operation in the graph.
        places: (height, width) of the outputs; (1, 1) for a fully connected layer.
        kernel: (height, width, channels in, channels out).
        head: whether it comes after the layer that is explained.
    """

    name: str
    places: tuple[int, int]
    kernel: tuple[int, int, int, int]
    head: bool = False

    @property
    def macs(self) -> int:
        """Multiplications, each with an addition: every output takes one for every value under the kernel."""
        return math.prod(self.places) * math.prod(self.kernel)

    @property
    def values(self) -> int:
        """Weights without biases, which make no difference here."""
        return math.prod(self.kernel)


def layers(network: slim_models.Network) -> list[Layer]:
    """Every layer of a network, as it was built, that multiplies by weights; in forward order."""
    explained = network.endpoints[network.default_layer].op
    before = _sources(explained)
    found = []
    for operation in network.graph.get_operations():
        if operation.type in ("Conv2D", "MatMul"):
            kernel = [1, 1, *operation.inputs[1].shape.as_list()][-4:]
            found.append(Layer(operation.name, _places(operation), tuple(kernel), operation not in before))
    return found


def _places(operation) -> tuple[int, int]:
    """Height and width of a layer's outputs."""
    if operation.type == "MatMul":
        return (1, 1)
    outputs = operation.outputs[0]
    for user in outputs.consumers():
        # A dilated convolution is an ordinary one of several parts of the picture, which are put together after it.
        outputs = user.outputs[0] if user.type == "BatchToSpaceND" else outputs
    return tuple(outputs.shape.as_list()[1:3])


def _sources(operation) -> set:
    """An operation and all that it is computed from."""
    found, left = set(), [operation]
    while left:
        one = left.pop()
        if one not in found:
            found.add(one)
            left += [tensor.op for tensor in one.inputs]
    return found


def task_macs(network_layers: Sequence[Layer], task: str, classes: int = CLASSES) -> int:
    """What a task takes for one picture, if nothing is done twice.

    A backward pass to a layer's inputs multiplies as often as the forward pass. `cam` is the forward pass and
    the true gradient of the head; `guided` the forward pass and one all the way back; `both` has one forward pass;
    of `classes` each has a head of its own, forward and backward, behind one trunk.

    Raises:
        KeyError: another task.
    """
    head = sum(layer.macs for layer in network_layers if layer.head)
    trunk = sum(layer.macs for layer in network_layers if not layer.head)
    return {
        "cam": trunk + 2 * head,
        "guided": 2 * trunk + 2 * head,
        "both": 2 * trunk + 3 * head,
        "classes": trunk + classes * 2 * head,
    }[task]
