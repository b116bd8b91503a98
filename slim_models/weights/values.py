"""Where a network's numbers come from: each kind is an object that knows how to fill a session."""

from __future__ import annotations

import dataclasses
import hashlib
import os
import pathlib
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from slim_models.mistakes import BadValue, MissingFile
from slim_models.weights.checkpoint import Saved, read_saved
from slim_models.weights.reading import evaluated_weights

if TYPE_CHECKING:
    import tensorflow.compat.v1 as tf

    from slim_models.network import Network

Weights = Mapping[str, np.ndarray]
Check = Callable[["tf.Session", "Network"], None]


def fingerprint(weights: Weights) -> str:
    """The first 16 digits of a SHA-256 over names, shapes, types and values: what tells two sets of weights apart."""
    found = hashlib.sha256()
    for name in sorted(weights):
        array = np.asarray(weights[name])
        found.update(f"{name} {array.shape} {array.dtype}".encode())
        # Where they are: fc6 of a VGG16 alone has 411 MB.
        found.update(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data)
    return found.hexdigest()[:16]


def check_open(session: Any) -> None:
    """Whether a session of the user's own can still be used.

    Raises:
        ValueError: it is closed.
    """
    of_monitored = getattr(session, "_is_closed", bool)  # which forget what they wrapped
    if getattr(session, "_closed", False) or of_monitored():
        raise BadValue("the session is closed: give it before it is closed, or the checkpoint that it was saved as")


@dataclasses.dataclass(frozen=True, eq=False)
class Stored:
    """Numbers in a file of weights, or in memory, by the names of the variables.

    Attributes:
        source: a file that `read_weights` reads, arrays by variable name, or a function that finds the file.
        session: the user's own, open, whose variables get them; None for a new one.
        said: of arrays, what they were read from: a file's name, or a package.
    """

    source: str | os.PathLike | Weights | Callable[[], str | os.PathLike]
    session: tf.Session | None = None
    said: str = ""

    @property
    def origin(self) -> str:
        """What they came from: a file's name, or a package; empty where that is not known."""
        return pathlib.Path(self.source).name if isinstance(self.source, (str, os.PathLike)) else self.said

    def arrays(self) -> Weights:
        """Variable name -> array; a file is read anew."""
        if isinstance(self.source, Mapping):
            return self.source
        return evaluated_weights(self.source() if callable(self.source) else self.source)

    def fill(self, session: tf.Session, network: Network) -> None:
        """Gives the network's variables their values; errors as of `assign_weights`."""
        from slim_models.weights.assigning import assign_weights

        check_open(session)
        assign_weights(session, network, self.arrays())


@dataclasses.dataclass(frozen=True, eq=False)
class Restored:
    """Numbers that a graph restores itself: from its checkpoint, from a Keras model; none at all if all are constants.

    Attributes:
        restore: gives the variables their values in a new session.
        check: looks at them then; raises a `ValueError` of those that cannot be.
    """

    restore: Callable[[tf.Session], None] = lambda session: None
    check: Check = lambda session, network: None
    session: None = None
    origin: str = ""

    def arrays(self) -> None:
        """They are not known by the names of files of weights."""

    def fill(self, session: tf.Session, network: Network) -> None:
        """Gives the variables their values."""
        self.restore(session)
        self.check(session, network)


@dataclasses.dataclass(frozen=True, eq=False)
class FromCheckpoint:
    """Numbers in a checkpoint, for the variables of somebody's graph; nothing of the graph is run to get them.

    Attributes:
        prefix: of the checkpoint, or a V1 file.
        saved: name of a variable's operation -> where its value is.
        check: as of `Restored`.
    """

    prefix: pathlib.Path
    saved: Mapping[str, Saved]
    check: Check = lambda session, network: None
    session: None = None

    @property
    def origin(self) -> str:
        """The checkpoint's name."""
        return self.prefix.name

    def arrays(self) -> None:
        """They are not known by the names of files of weights."""

    def fill(self, session: tf.Session, network: Network) -> None:
        """Gives the variables that a network uses their values.

        Raises:
            ValueError: the checkpoint has none for one of them, or one of another shape.
        """
        from slim_models.weights.assigning import assign

        variables = network.variable_operations()
        missing = [name for name in variables if name not in self.saved]
        try:
            if missing:
                raise BadValue(f"the graph restores no value of {missing[0]}")
            arrays = read_saved(self.prefix, {name: self.saved[name] for name in variables}) if variables else {}
            _check_shapes(variables, arrays)
        except (BadValue, MissingFile) as error:
            raise BadValue(f"no values for the variables at {self.prefix}: {error}") from error
        assign(session, {variables[name]: array for name, array in arrays.items()})
        self.check(session, network)


def _check_shapes(variables: Mapping[str, tf.Operation], arrays: Weights) -> None:
    import tensorflow.compat.v1 as tf

    for name, variable in variables.items():
        shape, dtype = tf.TensorShape(variable.get_attr("shape")), tf.as_dtype(variable.get_attr("dtype"))
        array = arrays[name]
        if not shape.is_compatible_with(array.shape) or array.dtype != dtype.as_numpy_dtype:
            own = f"{array.dtype} {list(array.shape)}"
            raise BadValue(f"{name} is {own} there, and {dtype.name} {shape} in the graph")


@dataclasses.dataclass(frozen=True, eq=False)
class Opened:
    """Numbers that are in an open session already.

    Attributes:
        session: the user's own, which stays open.
        check: as of `Restored`.
    """

    session: tf.Session
    check: Check = lambda session, network: None
    origin: str = ""

    def arrays(self) -> None:
        """They are not known by the names of files of weights."""

    def fill(self, session: tf.Session, network: Network) -> None:
        """Changes nothing; a `ValueError` if the session is closed, or as of `check`."""
        check_open(session)
        self.check(session, network)
