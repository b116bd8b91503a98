"""Traced runs of an explained network: what each operation took, and to which layer and direction it belongs."""

from __future__ import annotations

import dataclasses
import re
import statistics
from collections.abc import Iterable, Mapping

import numpy as np

from gradcam.terminal import quiet_tensorflow

with quiet_tensorflow():
    import tensorflow.compat.v1 as tf

    from gradcam.explainer import Explainer

OTHER = "other"
FORWARD = "forward"


@dataclasses.dataclass(frozen=True)
class Operation:
    """An operation as it was run: after TensorFlow's optimisation, which fuses several into the last of them.

    Attributes:
        name: in the graph.
        type: of its kernel, such as `_MklNativeFusedConv2D`.
        inputs: names of operations, where the trace tells them.
        ms: the median of all runs.
    """

    name: str
    type: str
    inputs: tuple[str, ...]
    ms: float

    @property
    def multiplies(self) -> bool:
        """Whether it is a convolution or a product of matrices, forward or backward."""
        return "Conv2D" in self.type or "MatMul" in self.type


def fetched(explainer: Explainer) -> Mapping:
    """What a run of the explainer fetches: a structure of tensors."""
    return explainer._fetches.tensors


def traced(explainer: Explainer, images: np.ndarray, runs: int) -> list[Operation]:
    """The operations of so many traced runs after three that do not count, in the order of their first run."""
    tensors, feed = fetched(explainer), {explainer.network.images: images}
    for _ in range(3):
        explainer.session.run(tensors, feed)
    options = tf.RunOptions(trace_level=tf.RunOptions.FULL_TRACE)
    milliseconds: dict[str, list[float]] = {}
    labels = {}
    for _ in range(runs):
        metadata = tf.RunMetadata()
        explainer.session.run(tensors, feed, options=options, run_metadata=metadata)
        for node in (node for device in metadata.step_stats.dev_stats for node in device.node_stats):
            took = (node.op_end_rel_nanos - node.op_start_rel_nanos) / 1e6
            milliseconds.setdefault(node.node_name, []).append(took)
            labels[node.node_name] = node.timeline_label
    return [_operation(name, labels[name], statistics.median(found)) for name, found in milliseconds.items()]


def _operation(name: str, label: str, ms: float) -> Operation:
    """From a label such as `[mklcpu 1.5MB 1.5MB] conv1/Relu = _FusedConv2D(sub, conv1/weights)`."""
    match = re.search(r" = (\w+)\((.*)\)", label)
    kind, inputs = match.groups() if match else ("unknown", "")
    return Operation(name, kind, tuple(filter(None, inputs.split(", "))), ms)


class Map:
    """Tells an operation's direction and layer by its name.

    Attributes:
        layers: all that `layer` can say but `other`, in forward order.
    """

    def __init__(self, explainer: Explainer, scopes: Iterable[str]):
        """Reads the names of the network's graph.

        Args:
            explainer: of the network.
            scopes: of the weights of convolutions and fully connected layers, in forward order.
        """
        tensors = fetched(explainer)
        self._graph = explainer.network.graph
        self._prefixes = {_gradients_scope(tensor.op): "backward" for tensor in tensors["gradients"].values()}
        self._prefixes.update({_gradients_scope(t.op): rule for rule, t in tensors["saliency"].items()})
        scopes = list(scopes)
        firsts = {scope.split("/")[0] for scope in scopes}
        self._root = f"{firsts.pop()}/" if len(firsts) == 1 else ""  # of a ResNet's names
        self.layers = list(explainer.network.endpoints)
        # What has weights but lies in no endpoint is a layer too: the fully connected ones.
        bare = [scope.removeprefix(self._root) for scope in scopes]
        self.layers += [scope for scope in bare if not _longest(scope, self.layers)]
        self._scopes = scopes

    def directions(self) -> list[str]:
        """All that there are, forward first."""
        return [FORWARD, *dict.fromkeys(self._prefixes.values())]

    def direction(self, name: str) -> str:
        """`forward`, `backward` (the true gradient) or the rule of a saliency."""
        return self._prefixes.get(name.split("/")[0], FORWARD)

    def layer(self, name: str) -> str:
        """An endpoint's name, or that of a layer with weights outside of all endpoints, or `other`."""
        return self._named(name) or next(filter(None, map(self._named, self._summands(name))), OTHER)

    def _summands(self, name: str) -> list[str]:
        """What a sum of signals adds up, which is named after no layer itself; nothing of other operations."""
        try:
            operation = self._graph.get_operation_by_name(name)
        except KeyError:  # TensorFlow's optimisation made it
            return []
        return [tensor.op.name for tensor in operation.inputs] if operation.type == "AddN" else []

    def _named(self, name: str) -> str:
        return _longest(self._bare(name).removeprefix(self._root), self.layers)

    def scope(self, operation: Operation) -> str:
        """The scope of the weights that an operation multiplies by; empty if none is known."""
        names = map(self._bare, (operation.name, *operation.inputs))
        return next(filter(None, (_longest(name, self._scopes) for name in names)), "")

    def _bare(self, name: str) -> str:
        first, _, rest = name.partition("/")
        return rest if first in self._prefixes else name


def _longest(name: str, scopes: Iterable[str]) -> str:
    """The innermost of the scopes that a name lies in; empty if there is none."""
    return max((scope for scope in scopes if name == scope or name.startswith(f"{scope}/")), key=len, default="")


def _gradients_scope(operation: tf.Operation) -> str:
    """`gradients_1` of an operation of that scope, or of one that casts such an operation's output."""
    while not operation.name.startswith("gradients"):
        operation = operation.inputs[0].op
    return operation.name.split("/")[0]
