"""Graphs that a program has in memory, with the session that holds their values."""

from __future__ import annotations

import dataclasses
from typing import Any

import tensorflow.compat.v1 as tf

from slim_models.loading.checked import check_values
from slim_models.loading.originals import Original
from slim_models.loading.passes import VARIABLES
from slim_models.mistakes import BadValue
from slim_models.network import Network
from slim_models.weights import Opened, Restored, assign, check_open

_OWN = (tf.Session, tf.InteractiveSession)
# Where wrappers keep what they wrap: monitored sessions in methods, tfdbg's and others in attributes.
_METHODS = ("raw_session", "_tf_sess")
_ATTRIBUTES = ("session", "sess", "_sess", "_session")


def is_session(given: Any) -> bool:
    """Whether it is a session, or wraps one: it has a graph, and runs parts of it."""
    if isinstance(given, _OWN):
        return True
    return not isinstance(given, tf.Operation) and hasattr(given, "graph") and callable(getattr(given, "run", None))


def of_session(given: Any) -> Original:
    """A graph with the session that holds its values.

    Nothing of what is wrapped round a session is run, neither hooks nor a debugger: what is inside is used. A
    finalized graph, as monitored sessions have it, takes no operations more, so that a copy of it is explained, whose
    values are read whenever that gets a session.

    Raises:
        ValueError: the session is closed.
    """
    session = _inside(given)
    check_open(given if session is None else session)
    return _copied(session) if session.graph.finalized else _of(session.graph, Opened(session))


def of_graph(graph: tf.Graph) -> Original:
    """A graph without a session.

    Raises:
        ValueError: it has variables, whose values nobody knows.
    """
    variables = [operation.name for operation in graph.get_operations() if operation.type in VARIABLES]
    if variables:
        raise BadValue(
            f"the graph has {len(variables)} variables ({variables[0]}, ...): give the session with their values"
        )
    return Original("graph", graph.as_graph_def()) if graph.finalized else _of(graph, Restored())


def _of(graph: tf.Graph, values: Opened | Restored) -> Original:
    return Original("graph", graph.as_graph_def(), graph, values)


def _inside(given: Any) -> Any:
    """The session within wrappers; what cannot be opened itself, and None where a wrapper has lost its own."""
    while not isinstance(given, _OWN):
        held: list[Any] = [getattr(given, name)() for name in _METHODS if callable(getattr(given, name, None))]
        held += [getattr(given, name) for name in _ATTRIBUTES if hasattr(getattr(given, name, None), "run")]
        if not held:
            return given
        given = held[0]
    return given


def _copied(session: Any) -> Original:
    """A copy of a finalized graph, anywhere a session of ours can run it."""
    theirs, graph = session.graph, tf.Graph()
    graph_def = theirs.as_graph_def()
    for node in graph_def.node:
        node.device = ""
    with graph.as_default():
        tf.import_graph_def(graph_def, name="")
        for variable in theirs.get_collection(tf.GraphKeys.GLOBAL_VARIABLES):
            if hasattr(variable, "to_proto"):
                copy = type(variable).from_proto(variable.to_proto())
                graph.add_to_collection(tf.GraphKeys.GLOBAL_VARIABLES, copy)
    return Original("graph", graph_def, graph, Copied(session))


@dataclasses.dataclass(frozen=True, eq=False)
class Copied:
    """Numbers in an open session, for a copy of its graph.

    Attributes:
        source: the user's own session, whose graph stays as it is.
    """

    source: Any
    session: None = None

    def arrays(self) -> None:
        """They are not known by the names of files of weights."""

    def fill(self, session: tf.Session, network: Network) -> None:
        """Gives the variables that a network uses the values that they have in the user's session now.

        Raises:
            ValueError: that is closed, or a variable has no value there that can be read.
        """
        check_open(self.source)
        variables = network.variable_operations()
        read = {name: _reading(self.source.graph.get_operation_by_name(name)) for name in variables}
        try:
            values = self.source.run(read) if read else {}
        except tf.errors.FailedPreconditionError as error:
            raise BadValue(
                f"the session has no values for variables of {network.name}: initialize or restore them before"
            ) from error
        assign(session, {variables[name]: value for name, value in values.items()})
        check_values(session, network)


def _reading(variable: tf.Operation) -> tf.Tensor:
    """A tensor of the graph that is a variable's value, and for which nothing else is run.

    Raises:
        ValueError: there is none.
    """
    (handle,) = variable.outputs
    if handle.dtype.base_dtype != tf.resource:
        return handle
    for operation in handle.consumers():
        if operation.type == "ReadVariableOp" and not operation.control_inputs:
            return operation.outputs[0]
    raise BadValue(
        f"the graph is finalized and reads its variable {variable.name} nowhere by itself, so that its value cannot be "
        "had: give the session before it is finalized, or a checkpoint"
    )
