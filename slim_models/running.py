"""TensorFlow's sessions: opened where they can run, and what goes wrong in them told in one line."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from typing import TYPE_CHECKING

from slim_models.mistakes import BadValue, Mistake

if TYPE_CHECKING:
    import tensorflow.compat.v1 as tf

_ran_in: set[int] = set()  # numbers of the processes, of this one and those that it was forked from, where it has run
_AROUND = ("[[", "Graph execution", "Detected at", "Node:", "Traceback", "File ", "Original stack", "Errors may have")


def running() -> None:
    """Is called before TensorFlow runs anything.

    Its threads are those of one process: a child that is forked from it waits for them for ever.

    Raises:
        ValueError: it has run in a process that this one was forked from.
    """
    if _ran_in and os.getpid() not in _ran_in:
        raise BadValue(
            "this process was forked from one in which TensorFlow had run already, whose threads it has not: nothing "
            "would ever come out; fork before the first network runs, or start processes by 'spawn' "
            "(multiprocessing.get_context('spawn'))"
        )
    _ran_in.add(os.getpid())


def new_session(graph: tf.Graph | None = None, config: tf.ConfigProto | None = None) -> tf.Session:
    """A session of a graph, of the default one if None.

    Raises:
        ValueError: as of `running`.
    """
    import tensorflow.compat.v1 as tf

    running()
    return tf.Session(graph=graph, config=config)


@contextlib.contextmanager
def told(what: str, *others: type[Exception]) -> Iterator[None]:
    """Tells what TensorFlow raises as the fault of what it was given.

    Args:
        what: cannot be done, and with what: the beginning of the line.
        others: errors beside TensorFlow's own that it can raise of a graph, where nothing else is run in the context.

    Raises:
        ValueError: TensorFlow raises an error; in one line.
    """
    import tensorflow.compat.v1 as tf

    try:
        yield
    except Mistake:
        raise
    except (tf.errors.OpError, *others) as error:
        raise BadValue(f"{what}: {reason_of(error)}") from error


def reason_of(error: Exception) -> str:
    """The line of an error of TensorFlow's, which can fill a screen, that says what went wrong, and where."""
    lines = [line.strip() for line in str(getattr(error, "message", error)).splitlines()]
    line = next((line for line in lines if line and not line.startswith(_AROUND)), type(error).__name__)
    operation = getattr(error, "op", None)
    where = "" if operation is None or operation.name in line else f" (at {operation.name})"
    return f"{shortened(line)}{where}"


def shortened(line: str, most: int = 500) -> str:
    """A line of at most so many letters: TensorFlow's can hold a whole node, and Keras' a whole model."""
    return line if len(line) <= most else f"{line[:most]}..."
