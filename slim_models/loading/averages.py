"""The moving averages that a training has kept of its variables, in the graph of the training itself."""

from __future__ import annotations

import dataclasses

import tensorflow.compat.v1 as tf

from slim_models.loading.originals import Original
from slim_models.loading.passes import VARIABLES, Say
from slim_models.mistakes import BadValue
from slim_models.weights import AVERAGE, FromCheckpoint, evaluated


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
    values = original.values
    if not isinstance(values, FromCheckpoint):
        raise BadValue("the values of a live session are used where they are: assign the averages to its variables")
    missing = [shadow for shadow in shadows.values() if shadow not in values.saved]
    if missing:
        raise BadValue(f"the checkpoint has no values for the moving averages ({missing[0]}): leave out averages")
    say(f"values: the moving averages of {len(shadows)} variables, in place of their own")
    saved = {**values.saved, **{name: values.saved[shadow] for name, shadow in shadows.items()}}
    return dataclasses.replace(original, values=dataclasses.replace(values, saved=saved))


def _shapes(graph: tf.Graph) -> dict[str, tuple[int, ...]]:
    """Those of the variables, by their names."""
    operations = [op for op in graph.get_operations() if op.type in VARIABLES]
    shapes = {op.name: tf.TensorShape(op.get_attr("shape")) for op in operations}
    return {name: tuple(shape.as_list()) for name, shape in shapes.items() if shape.ndims is not None}
