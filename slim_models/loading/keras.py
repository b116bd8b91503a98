"""Keras models in memory as graphs with variables; `keras_files` reads them."""

from __future__ import annotations

import contextlib
import functools
import re
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import tensorflow.compat.v1 as tf

from slim_models.loading.keras_calls import by_layer, called_with, input_names, leaves
from slim_models.loading.originals import Original
from slim_models.loading.passes import Say, silent
from slim_models.loading.signatures import Signature
from slim_models.mistakes import BadValue
from slim_models.running import running, shortened
from slim_models.weights import Restored, fill

_AROUND = ("in user code:", "File ", "Exception encountered when calling", "Arguments received by", "•")


def is_keras_model(given: Any) -> bool:
    """Whether it is a model of the Keras that TensorFlow comes with, or of another one, built or not."""
    return callable(given) and all(hasattr(type(given), name) for name in ("layers", "weights", "get_layer", "summary"))


def of_keras_model(
    model: Any, name: str | None = None, size: tuple[int, int] | None = None, say: Say = silent
) -> Original:
    """A model in memory; its weights are copied when a session is opened.

    Args:
        model: functional, Sequential or subclassed.
        name: what to call it; None is its own name.
        size: height and width for which it is built if it is not.
        say: is told that it was built.

    Raises:
        ValueError: it is not built, or was built in a graph, or Keras cannot call it.
    """
    import tensorflow

    name = name or model.name
    with eagerly():
        arguments = called_with(model, name, size)
        _build(model, name, arguments, say)
        specs = tensorflow.nest.flatten(arguments)
        keys: list[str] = []

        def call(*flat: Any) -> list[Any]:
            args, kwargs = tensorflow.nest.pack_sequence_as(arguments, flat)
            outputs = leaves(model(*args, **kwargs, training=False))
            keys[:] = outputs
            return list(outputs.values())

        with _told(f"Keras cannot call the model {name}"):
            function = tensorflow.function(call).get_concrete_function(*specs)
    graph, variables, theirs = _graph_with_variables(function)
    values = Restored(functools.partial(_restore, variables, theirs))
    images = [tensor.name for tensor in function.inputs[: len(specs)]]
    outputs = dict(zip(keys, [tensor.name for tensor in function.outputs]))
    signature = Signature(dict(zip(input_names(arguments), images)), {**by_layer(model, outputs), **outputs})
    return Original(name, graph.as_graph_def(), graph, values, images, [*outputs.values()], {"": signature})


@contextlib.contextmanager
def _told(what: str) -> Iterator[None]:
    """Whatever Keras raises, in a line."""
    try:
        yield
    except BadValue:
        raise
    except Exception as error:  # Keras, and what it runs of the user's, raise nearly anything
        raise BadValue(f"{what}: {reason_of(error)}") from error


def reason_of(error: Exception) -> str:
    """The line of an error that says what is wrong, in what Keras and TensorFlow write round it."""
    lines = [re.sub(r"\x1b\[\d+m", "", line).strip() for line in str(error).splitlines()]
    named = [line for line in lines if re.match(r"(\w+(Error|Exception)|Exception encountered): ", line)]
    others = [line for line in lines if line and not line.startswith(_AROUND)]
    line = next(iter([*named[::-1], *others]), type(error).__name__)
    return shortened(line.removeprefix("Exception encountered: "))


def _build(model: Any, name: str, arguments: Any, say: Say) -> None:
    """Makes the variables that a model does not have yet, by a call on zeros."""
    import tensorflow

    if getattr(model, "inputs", None) or (model.built and all(layer.built for layer in model.layers)):
        return
    count = len(model.weights) if model.built else 0
    args, kwargs = tensorflow.nest.map_structure(
        lambda spec: tensorflow.zeros([size or 1 for size in spec.shape], spec.dtype), arguments
    )
    with _told(f"the Keras model {name} cannot be built"):
        model(*args, **kwargs, training=False)
    if len(model.weights) > count:
        say(f"weights: those that {name} begins with (it was not built, and so never trained)")


def eagerly() -> contextlib.AbstractContextManager:
    """Eager mode, in which Keras works, whatever graph the user is in."""
    import tensorflow

    running()
    return tensorflow.__internal__.eager_context.eager_mode()


def _graph_with_variables(function: Any) -> tuple[tf.Graph, dict[str, tf.Variable], dict[str, Any]]:
    """A graph of the function's operations; by name its variables, and the eager ones that they stand for."""
    eager = {id(variable.handle): variable for variable in function.variables}
    graph, inputs, variables, theirs = tf.Graph(), {}, {}, {}
    with graph.as_default():
        captured = function.captured_inputs
        for outer, inner in zip(captured, function.inputs[len(function.inputs) - len(captured) :]):
            if outer.dtype == tf.resource and id(outer) not in eager:
                raise BadValue(f"the Keras model has a table or the like, {outer!r}, which cannot be copied")
            if id(outer) not in eager:
                inputs[inner.name] = tf.constant(outer.numpy())
                continue
            ours = _variable_like(eager[id(outer)])
            variables[ours.op.name], theirs[ours.op.name] = ours, eager[id(outer)]
            inputs[inner.name] = ours.handle
        tf.import_graph_def(function.graph.as_graph_def(), input_map=inputs, name="")
    return graph, variables, theirs


def _variable_like(variable: Any) -> tf.Variable:
    name = variable.name.split(":")[0]
    return tf.Variable(
        tf.zeros(variable.shape, variable.dtype), trainable=False, use_resource=True, shape=variable.shape, name=name
    )


def _restore(variables: Mapping[str, tf.Variable], theirs: Mapping[str, Any], session: tf.Session) -> None:
    def value_of(name: str) -> np.ndarray:
        with eagerly():
            return np.asarray(theirs[name].numpy())

    fill(session, variables, value_of)
