"""`Network`: what a builder returns and everything else stands on."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Protocol

from slim_models.labels import Labels
from slim_models.mistakes import BadValue, UnknownName

if TYPE_CHECKING:
    import numpy as np
    import tensorflow.compat.v1 as tf

PRECISIONS = ("float32", "bfloat16")


class Values(Protocol):
    """Where a network's numbers come from: a file, the graph's own restore, or an open session."""

    @property
    def session(self) -> tf.Session | None:
        """The user's own, open session in which the network is run; None for a new one."""

    @property
    def origin(self) -> str:
        """What they came from, as figures say it: a file's name, or a package; empty where that is not known."""

    def arrays(self) -> Mapping[str, np.ndarray] | None:
        """Variable name -> array, as files of weights have them; None where they are not known by these names."""

    def fill(self, session: tf.Session, network: Network) -> None:
        """Gives a network's variables their values, in a session of its graph."""


@dataclasses.dataclass(frozen=True)
class Network:
    """A classifier as a graph: the tensors the rest of the project needs, and where its numbers come from.

    Attributes:
        name: the network's name in `slim_models.NETWORKS`, or the user's own; nothing is concluded from it.
        images: placeholder `[N, H, W, 3]`, RGB in [0, 255], the same for every network that takes photographs;
            what the network was trained on is computed from it inside the graph. Of one that `takes_arrays`
            `[N, H, W, K]`, any finite numbers.
        logits: `[N, C]`, before the softmax; the y of the Grad-CAM paper. Of a segmentation, whose output is a map,
            `[N, h, w, C]`.
        endpoints: layer name -> activations `[N, h, w, K]`, in forward order, after the ReLU.
        default_layer: the last layer with a spatial extent, a key of `endpoints`.
        values: where its numbers come from.
        labels: the names of its classes; None if they are not known.
        head: how logits become what the network says, one of `HEADS`.
        one_output: whether the network has one output z, behind a sigmoid or linear, of which `logits` are `[-z, z]`:
            what speaks against it, and what for it.
        precision: of variables and endpoints, one of `PRECISIONS`; images and logits are float32 in any.
        rebuild: builds the same network, in a graph of its own, in the precision given and with its batch norm folded
            into weights and biases, which is faster; None if nothing can.
        input_order: order of the channels that the network itself takes, `RGB` or `BGR`, which gradients of
            another program with respect to its input may be in.
        unfolded: name -> shape of the weights that it takes, if their batch norm is folded into its variables; None
            if its variables take them as they are.
        takes_arrays: whether its images are no photographs, but arrays of K channels: because it has other channels
            than those, or because they are prepared already.
        preprocessing: what happens to the images first, in words: a name of `PREPROCESSINGS`, numbers, or `a function`.
    """

    name: str
    images: tf.Tensor
    logits: tf.Tensor
    endpoints: Mapping[str, tf.Tensor]
    default_layer: str
    values: Values
    labels: Labels | None = None
    head: str = "softmax"
    precision: str = "float32"
    rebuild: Callable[[str], Network] | None = None
    input_order: str = "RGB"
    unfolded: Mapping[str, tuple[int, ...]] | None = None
    one_output: bool = False
    takes_arrays: bool = False
    preprocessing: str = ""

    def __repr__(self) -> str:
        def sizes(tensor: tf.Tensor) -> str:
            return " x ".join("?" if size is None else str(size) for size in tensor.shape.as_list()[1:])

        names = f" ({', '.join(map(self.labels.name, range(min(3, self.num_classes))))}, ...)" if self.labels else ""
        layer = sizes(self.endpoints[self.default_layer])
        return (
            f"Network {self.name!r}: pictures of {sizes(self.images)}, {self.num_classes} classes{names}, {self.head}\n"
            f"  {len(self.endpoints)} layers, the default {self.default_layer} of {layer}; {self.precision}"
        )

    @property
    def graph(self) -> tf.Graph:
        """The graph that all tensors of the network live in."""
        return self.logits.graph

    @property
    def image_size(self) -> tuple[int, int]:
        """Height and width of the images in pixels."""
        _, height, width, _ = self.images.shape.as_list()
        return height, width

    @property
    def channels(self) -> int:
        """K of the images: 3 of photographs, RGB."""
        return self.images.shape.as_list()[3]

    @property
    def batch_size(self) -> int | None:
        """N, if the network takes that many images at a time and no other number; None if any."""
        return self.images.shape.as_list()[0]

    @property
    def num_classes(self) -> int:
        """C, the number of logits."""
        return self.logits.shape.as_list()[-1]

    def graph_fingerprint(self) -> str:
        """The first 16 digits of a SHA-256 over the operations between images and logits: what tells two graphs apart.

        Constants are among them, variables' values are not; another version of TensorFlow may build other operations.
        """
        from slim_models.backward import operations_between

        found = hashlib.sha256()
        for operation in sorted(operations_between(self.images, self.logits), key=lambda op: op.name):
            found.update(operation.node_def.SerializeToString(deterministic=True))
        return found.hexdigest()[:16]

    @property
    def is_segmentation(self) -> bool:
        """Whether its output is a map: logits for every place."""
        return self.logits.shape.ndims == 4

    def check_photographs(self) -> Network:
        """This network, for what is done to classifiers of photographs alone.

        Raises:
            ValueError: it takes arrays, or its output is a map.
        """
        if self.is_segmentation:
            raise BadValue(f"{self.name} has classes for every place, and this works on classifiers alone")
        if self.takes_arrays:
            shape = f"[N, {', '.join(map(str, self.images.shape.as_list()[1:]))}]"
            raise BadValue(f"{self.name} takes arrays {shape} in place of photographs, which are what this works on")
        return self

    def check_layer(self, layer: str) -> None:
        """Raises a KeyError if it has no such layer."""
        check_layer(self.name, self.endpoints, layer)

    def in_precision(self, precision: str) -> Network:
        """This network in another precision, in a graph of its own; itself if it is in that one.

        It takes the same weights (`weight_shapes`), but its variables are others where batch norm is folded.

        Raises:
            ValueError: no such precision, or nothing can build the network again.
        """
        check_precision(precision)
        if precision == self.precision:
            return self
        if self.rebuild is None:
            raise BadValue(f"{self.name} was not made by slim_models.build and stays in {self.precision}")
        return dataclasses.replace(self.rebuild(precision), values=self.values, labels=self.labels)

    def weight_shapes(self) -> dict[str, tuple[int, ...]]:
        """Name -> shape of the weights that `assign_weights` takes, in forward order."""
        if self.unfolded is not None:
            return dict(self.unfolded)
        return {name: tuple(variable.shape.as_list()) for name, variable in self.variables().items()}

    def variable_operations(self) -> dict[str, tf.Operation]:
        """The operations of the variables that the logits depend on, by name, whoever has made them."""
        from slim_models.backward import VARIABLES, operations_between

        found = operations_between(self.images, self.logits)
        return {op.name: op for op in sorted(found, key=lambda op: op.name) if op.type in VARIABLES}

    def variables(self) -> dict[str, tf.Variable]:
        """The variables that the logits depend on, by the names of the weight files (`conv1_1/weights`, ...)."""
        import tensorflow.compat.v1 as tf

        from slim_models.backward import operations_between

        with self.graph.as_default():
            variables = {variable.op.name: variable for variable in tf.global_variables()}
        used = {operation.name for operation in operations_between(self.images, self.logits)}
        return {name: variable for name, variable in variables.items() if name in used}


def check_precision(precision: str) -> None:
    """Raises a ValueError if there is no such precision."""
    if precision not in PRECISIONS:
        raise BadValue(f"no precision {precision!r}; the precisions are {', '.join(PRECISIONS)}")


def check_layer(network: str, layers: Iterable[str], layer: str) -> None:
    """Raises a KeyError if the network of that name, which has these layers, has no such layer."""
    if layer not in layers:
        raise UnknownName(f"{network} has no layer {layer!r}; its layers are {', '.join(layers)}")
