"""Where a network's numbers come from: each kind is an object that knows how to fill a session."""

from __future__ import annotations

import dataclasses
import hashlib
import os
import pathlib
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from slim_models.mistakes import BadValue
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
        found.update(np.ascontiguousarray(array).tobytes())
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
