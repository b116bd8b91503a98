"""The values of somebody's network, looked at once it has them: what is no number is told by its name."""

from __future__ import annotations

import re
from collections.abc import Mapping

import numpy as np
import tensorflow.compat.v1 as tf

from slim_models.backward import operations_between
from slim_models.mistakes import BadValue
from slim_models.network import Network
from slim_models.weights import is_finite, portions

_OURS = re.compile(r"^explained(_\d+)?/network/")  # where constants are imported to
_VARIABLES = ("VariableV2", "Variable", "ReadVariableOp")


def check_values(session: tf.Session, network: Network) -> None:
    """Whether the values that a network has in a session can be computed with.

    Raises:
        ValueError: a variable has a value that is not finite, or a constant one that is NaN (an infinite constant can
            be meant, as in a mask).
    """
    weights = _weights(network)
    names = [name for name, tensor in weights.items() if tensor.op.type != "Const"]
    found = [name for name, tensor in weights.items() if tensor.op.type == "Const" and _has_nan(tensor)]
    for portion in portions({name: weights[name].shape.num_elements() or 0 for name in names}):
        found += _not_finite(session, {name: weights[name] for name in portion})
    if found:
        others = f" and {len(found) - 1} more" if found[1:] else ""
        raise BadValue(
            f"weights of {network.name} are not finite: {_OURS.sub('', found[0])}{others}; nothing can be computed"
        )


def _weights(network: Network) -> dict[str, tf.Tensor]:
    """Variables and constants that the logits are computed from, by their names; nothing else has to be run."""
    found = {}
    for operation in operations_between(network.images, network.logits):
        if operation.type in (*_VARIABLES, "Const") and not operation.control_inputs:
            tensor = operation.outputs[0]
            named = tensor.op.inputs[0].op if operation.type == "ReadVariableOp" else operation
            if tensor.dtype.base_dtype.is_floating and named.type != "Placeholder":
                found[named.name] = tensor
    return found


def _has_nan(constant: tf.Tensor) -> bool:
    """Asked of the graph itself: a run would have all constants copied."""
    content = tf.make_ndarray(constant.op.get_attr("value")).astype(np.float32)
    return bool(content.size) and bool(np.isnan(content.min()))


def _not_finite(session: tf.Session, variables: Mapping[str, tf.Tensor]) -> list[str]:
    try:
        values = session.run(dict(variables))
    except tf.errors.OpError:  # one has none yet, which is told when it is used
        return []
    return [name for name, value in values.items() if not is_finite(np.asarray(value))]
