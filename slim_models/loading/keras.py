"""Keras models in memory as graphs with variables; `keras_files` reads them."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Mapping
from typing import Any

import numpy as np
import tensorflow.compat.v1 as tf

from slim_models.loading.originals import Original
from slim_models.mistakes import BadValue
from slim_models.weights import Restored, fill


def is_keras_model(given: Any) -> bool:
    """Whether it is a model of the Keras that TensorFlow comes with, or of another one."""
    return callable(given) and all(hasattr(given, name) for name in ("layers", "weights", "inputs", "outputs"))


def of_keras_model(model: Any, name: str | None = None) -> Original:
    """A model in memory; its weights are copied when a session is opened.

    Raises:
        ValueError: it has several inputs, is not built, or was built in a graph.
    """
    import tensorflow

    name = name or model.name
    if not model.inputs or len(model.inputs) != 1:
        raise BadValue(f"the Keras model {name} should have one input, not {len(model.inputs or ())}; is it built?")
    given = model.inputs[0]
    with eagerly():
        # A number of pictures that the model fixes is freed later, where that can be proved.
        spec = tensorflow.TensorSpec([*given.shape], given.dtype, name="images")
        function = tensorflow.function(lambda images: model(images, training=False)).get_concrete_function(spec)
    outputs = [tensor.name for tensor in function.outputs]
    graph, variables, theirs = _graph_with_variables(function)
    values = Restored(functools.partial(_restore, variables, theirs))
    names = [function.inputs[0].name]
    return Original(name, graph.as_graph_def(), graph, values, images=names, logits=outputs)


def eagerly() -> contextlib.AbstractContextManager:
    """Eager mode, in which Keras works, whatever graph the user is in."""
    import tensorflow

    return tensorflow.__internal__.eager_context.eager_mode()


def _graph_with_variables(function: Any) -> tuple[tf.Graph, dict[str, tf.Variable], dict[str, Any]]:
    """A graph of the function's operations; by name its variables, and the eager ones that they stand for."""
    eager = {id(variable.handle): variable for variable in function.variables}
    graph, inputs, variables, theirs = tf.Graph(), {}, {}, {}
    with graph.as_default():
        captured = function.captured_inputs
        for outer, inner in zip(captured, function.inputs[len(function.inputs) - len(captured) :]):
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
