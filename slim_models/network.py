"""`Network`: what a builder returns and everything else stands on."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence

import tensorflow.compat.v1 as tf

from slim_models.backward import operations_between

PRECISIONS = ("float32", "bfloat16")


@dataclasses.dataclass(frozen=True)
class Network:
    """A classifier as a graph: the tensors the rest of the project needs, nothing else.

    Attributes:
        name: the network's name in `slim_models.NETWORKS`, or the user's own.
        images: placeholder `[N, H, W, 3]`, RGB in [0, 255], the same for every network; what the
            network was trained on is computed from it inside the graph.
        logits: `[N, C]`, before the softmax; the y of the Grad-CAM paper.
        endpoints: layer name -> activations `[N, h, w, K]`, in forward order, after the ReLU.
        default_layer: the last layer with a spatial extent, a key of `endpoints`.
        precision: of variables and endpoints, one of `PRECISIONS`; images and logits are float32 in any.
        rebuild: builds the same network, in a graph of its own, in the precision given and with its batch norm folded
            into weights and biases, which is faster; None if nothing can.
        restore: gives the variables the values that belong to them, in a new session; None if those are in a file
            of weights of their own.
        session: the user's own, open, which has the values; None for a new one.
        labels: WordNet id (or nothing) and names of every class; None if they are not known, or known by `name`.
        input_order: order of the channels that the network itself takes, `RGB` or `BGR`, which gradients of
            another program with respect to its input may be in.
        unfolded: name -> shape of the weights that it takes, if their batch norm is folded into its variables; None
            if its variables take them as they are.
    """

    name: str
    images: tf.Tensor
    logits: tf.Tensor
    endpoints: Mapping[str, tf.Tensor]
    default_layer: str
    precision: str = "float32"
    rebuild: Callable[[str], Network] | None = None
    restore: Callable[[tf.Session], None] | None = None
    session: tf.Session | None = None
    labels: Sequence[tuple[str, str]] | None = None
    input_order: str = "RGB"
    unfolded: Mapping[str, tuple[int, ...]] | None = None

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
    def batch_size(self) -> int | None:
        """N, if the network takes that many images at a time and no other number; None if any."""
        return self.images.shape.as_list()[0]

    @property
    def num_classes(self) -> int:
        """C, the number of logits."""
        return self.logits.shape.as_list()[-1]

    def in_precision(self, precision: str) -> Network:
        """This network in another precision, in a graph of its own; itself if it is in that one.

        It takes the same weights (`weight_shapes`), but its variables are others where batch norm is folded.

        Raises:
            ValueError: no such precision, or nothing can build the network again.
        """
        if precision not in PRECISIONS:
            raise ValueError(f"no precision {precision!r}; the precisions are {', '.join(PRECISIONS)}")
        if precision == self.precision:
            return self
        if self.rebuild is None:
            raise ValueError(f"{self.name} was not made by slim_models.build and stays in {self.precision}")
        return self.rebuild(precision)

    def weight_shapes(self) -> dict[str, tuple[int, ...]]:
        """Name -> shape of the weights that `assign_weights` takes, in forward order."""
        if self.unfolded is not None:
            return dict(self.unfolded)
        return {name: tuple(variable.shape.as_list()) for name, variable in self.variables().items()}

    def variables(self) -> dict[str, tf.Variable]:
        """The network's variables by the names of the weight files (`conv1_1/weights`, ...).

        Of a graph that is not ours, those that the logits depend on: not a training's.
        """
        with self.graph.as_default():
            variables = {variable.op.name: variable for variable in tf.global_variables()}
        if self.restore is None and self.session is None:
            return variables
        used = {operation.name for operation in operations_between(self.images, self.logits)}
        return {name: variable for name, variable in variables.items() if name in used}
