"""The moving averages that a training has kept of its variables, in the graph of the training itself."""

from __future__ import annotations

import dataclasses

import tensorflow.compat.v1 as tf

from slim_models.loading.originals import Original
from slim_models.loading.passes import VARIABLES, Say
from slim_models.mistakes import BadValue
from slim_models.weights import AVERAGE, Restored, evaluated, fill


def averaged(original: Original, wanted: bool | None, say: Say) -> Original:
    """A graph with moving averages in its variables, if they are wanted.

    Args:
        original: whose variables have values of their own.
        wanted: None leaves it as it computes, and says that there are averages.
        say: is told which values there are.

    Raises:
        ValueError: averages are wanted and there are none, or the variables are in a session of the user's.
    """
    graph = original.graph
    shapes = {} if graph is None else _shapes(graph)
    shadows = {}
    if any(name.endswith(f"/{AVERAGE}") for name in shapes):
        shadows = {name: it for name, it in evaluated(shapes, True).items() if name in shapes and name != it}
    if wanted and not shadows:
        raise BadValue(f"there are no moving averages ({AVERAGE}) of variables in {original.name}: leave out averages")
    if wanted is None and shadows:
        say(f"values: the variables' own, not the moving averages that {len(shadows)} of them have (--averages)")
    if not wanted or graph is None:
        return original
    if not isinstance(original.values, Restored):
        raise BadValue("the values of a live session are used where they are: assign the averages to its variables")
    say(f"values: the moving averages of {len(shadows)} variables, in place of their own")
    before = original.values.restore

    def restore(session: tf.Session) -> None:
        before(session)
        _assign(session, graph, shadows)

    return dataclasses.replace(original, values=Restored(restore))


def _shapes(graph: tf.Graph) -> dict[str, tuple[int, ...]]:
    """Those of the variables, by their names."""
    operations = [op for op in graph.get_operations() if op.type in VARIABLES]
    shapes = {op.name: tf.TensorShape(op.get_attr("shape")) for op in operations}
    return {name: tuple(shape.as_list()) for name, shape in shapes.items() if shape.ndims is not None}


def _assign(session: tf.Session, graph: tf.Graph, shadows: dict[str, str]) -> None:
    """Copies each average into its variable."""
    with graph.as_default():
        variables = {variable.op.name: variable for variable in tf.global_variables()}
    missing = [name for pair in shadows.items() for name in pair if name not in variables]
    if missing:
        raise BadValue(f"the moving averages cannot be assigned: the graph does not list its variable {missing[0]}")
    try:
        fill(session, {name: variables[name] for name in shadows}, lambda name: session.run(variables[shadows[name]]))
    except tf.errors.FailedPreconditionError as error:
        raise BadValue("the checkpoint has no values for the moving averages: leave out averages") from error
