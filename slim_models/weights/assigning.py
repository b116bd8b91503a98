"""Values for a network's variables: all of them and nothing else, or one error that says what is off."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial

import numpy as np
import tensorflow.compat.v1 as tf

from slim_models.memory import lasting
from slim_models.mistakes import BadValue
from slim_models.network import Network
from slim_models.weights.folding import folded
from slim_models.weights.training import fitted

_ONLY_IN_VGG19 = {"conv3_4", "conv4_4", "conv5_4"}


def assign_weights(session: tf.Session, network: Network, weights: Mapping[str, np.ndarray]) -> None:
    """Gives every variable of the network its value, in the variable's own precision, batch norm folded if need be.

    Nothing is added to the graph, in particular no constant with the values.

    Args:
        session: of the network's graph.
        network: as `build` returned it.
        weights: variable name -> array, as of `check_weights`.

    Raises:
        ValueError: names are missing, unexpected, misshapen, or have values that are not finite or are negative
            variances; one message has their numbers and the first of them, and no variable has been touched.
    """
    weights = check_weights(network, weights)
    fill(session, network.variables(), weights.__getitem__ if network.unfolded is None else partial(folded, weights))


def fill(session: tf.Session, variables: Mapping[str, tf.Variable], of: Callable[[str], np.ndarray]) -> None:
    """Gives variables values, whatever they are of.

    Args:
        session: of the variables' graph.
        variables: by names.
        of: name -> value, in the variable's shape.
    """
    for names in portions({name: variable.shape.num_elements() for name, variable in variables.items()}):
        # An assignment assigns its second input; a value fed there never enters the graph.
        assigned = [_assignment(variables[name]) for name in names]
        # What is fed may stay where it is and become the variable, so nobody may write into it later.
        values = [lasting(of(name), variables[name].dtype.as_numpy_dtype) for name in names]
        session.run(assigned, {operation.inputs[1]: value for operation, value in zip(assigned, values)})


def assign(session: tf.Session, values: Mapping[tf.Operation, np.ndarray]) -> None:
    """Gives variables of somebody's graph values, by operations of our own: an initializer of theirs may do anything.

    Args:
        session: of the variables' graph, which gets two operations for each, once.
        values: variable -> its value.
    """
    by_name = {variable.name: variable for variable in values}
    for names in portions({name: int(np.size(values[by_name[name]])) for name in by_name}):
        feed, assigned = {}, []
        for variable in (by_name[name] for name in names):
            operation = _own_assignment(variable)
            value = np.asarray(values[variable])
            feed[operation.inputs[1]] = value if value.dtype == object else lasting(value, value.dtype)
            assigned.append(operation)
        session.run(assigned, feed)


def _assignment(variable: tf.Variable) -> tf.Operation:
    """What gives a variable a value that is fed: its initializer, if that does this and nothing else."""
    initializer = variable.initializer
    if initializer.type in ("Assign", "AssignVariableOp") and not initializer.control_inputs:
        handle, value = initializer.inputs
        if handle.op is variable.op and len(value.consumers()) == 1:
            return initializer
    return _own_assignment(variable.op)


def _own_assignment(variable: tf.Operation) -> tf.Operation:
    """What assigns what is fed to a variable, and does nothing else; made if the graph has nothing of the kind."""
    (handle,) = variable.outputs
    for reader in handle.consumers():
        if reader.type in ("Assign", "AssignVariableOp") and reader.inputs[0] is handle and not reader.control_inputs:
            fed = reader.inputs[1].op
            if fed.type == "Placeholder" and not fed.control_inputs:
                return reader
    with variable.graph.as_default(), tf.control_dependencies(None), tf.name_scope(f"{variable.name}/assigned/"):
        fed = tf.placeholder(tf.as_dtype(variable.get_attr("dtype")), name="value")
        if handle.dtype.base_dtype == tf.resource:
            return tf.raw_ops.AssignVariableOp(resource=handle, value=fed)
        return tf.raw_ops.Assign(ref=handle, value=fed, validate_shape=False).op


def check_weights(network: Network, weights: Mapping[str, np.ndarray]) -> Mapping[str, np.ndarray]:
    """Whether the weights are the network's: every one in its shape, and nothing else.

    Args:
        network: as `build` returned it.
        weights: variable name -> array; what a training keeps beside them (`global_step`, slots of optimisers) and
            scopes in front of all names do not matter (`training.fitted`).

    Returns:
        The weights by the network's own names.

    Raises:
        ValueError: names are missing, unexpected, misshapen, or have values that are not finite in float32 or are
            negative variances; one message has their numbers and the first of them.
    """
    shapes = network.weight_shapes()
    weights = fitted(weights, shapes)
    _refuse_anothers(network.name, shapes, weights)
    given = {name: np.shape(array) for name, array in weights.items()}
    misshapen = [name for name in shapes if name in given and given[name] != shapes[name]]
    problems = {
        "missing": [name for name in shapes if name not in given],
        "unexpected": [name for name in given if name not in shapes],
        "misshapen": [f"{name} {list(given[name])} instead of {list(shapes[name])}" for name in misshapen],
        "not finite as float32": [name for name in shapes if name in given and not is_finite(weights[name])],
        "negative, though variances": [name for name in shapes if name in given and _is_negative(name, weights[name])],
    }
    parts = [f"{len(names)} {kind} ({_shortened(names)})" for kind, names in problems.items() if names]
    if any(given[name][-1:] == (1001,) for name in misshapen):
        parts.append("the file has 1001 classes, 0 being 'background': build the network with num_classes=1001")
    if {name.rpartition("/")[0] for name in [*problems["missing"], *problems["unexpected"]]} == _ONLY_IN_VGG19:
        parts.append(f"they are those of a {'VGG16' if problems['missing'] else 'VGG19'}")
    if parts:
        raise BadValue(f"the weights do not fit {network.name}: {'; '.join(parts)}")
    return weights


def _refuse_anothers(name: str, shapes: Iterable[str], given: Iterable[str]) -> None:
    """What the names of weights say of another network, if they have none in common with this one."""
    if not set(shapes) & set(given):
        scopes = _shortened(sorted({name.split("/")[0] for name in given}), 3)
        raise BadValue(f"the weights do not fit {name}; they are another network's ({scopes})")


def portions(sizes: Mapping[str, int], most: int = 2**24) -> Iterator[list[str]]:
    """Splits names into lists of at most `most` numbers, or of one name.

    Every run costs TensorFlow milliseconds of planning, and what it is fed is copied: one run a
    variable takes seconds for a ResNet, one for all doubles the memory of a VGG16.
    """
    portion: list[str] = []
    total = 0
    for name, size in sizes.items():
        if portion and total + size > most:
            yield portion
            portion, total = [], 0
        portion.append(name)
        total += size
    if portion:
        yield portion


def is_finite(array: np.ndarray) -> bool:
    """Whether no number is NaN or infinite, or becomes so in float32; by the extremes, which need no second array."""
    array = np.asarray(array)
    if not array.size:
        return True
    if array.dtype == np.float16:  # NumPy is fifty times as fast with its bits: infinities and NaNs have the largest
        return bool(array.view(np.int16).max() < 0x7C00 and array.view(np.uint16).max() < 0xFC00)
    with np.errstate(over="ignore"):
        return bool(np.isfinite(np.array([np.min(array), np.max(array)]).astype(np.float32)).all())


def _is_negative(name: str, array: np.ndarray) -> bool:
    """Whether it is a variance, and has numbers of which there is no square root."""
    return name.endswith("moving_variance") and bool(np.size(array)) and bool(np.min(array) < 0)


def _shortened(names: list[str], most: int = 2) -> str:
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")
