"""What is made of a graph once and kept with it, and the lock under which it grows: TensorFlow's own graphs have none.

Two threads that add operations to one graph end in errors of Python's own; and what is added can never be taken away.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Hashable
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    import tensorflow.compat.v1 as tf

T = TypeVar("T")
_KEPT = "_kept_by_slim_models"  # an attribute of the graph, so that all of it goes when the graph goes
_first = threading.Lock()


class _Kept:
    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.made: dict[Hashable, Any] = {}


def _kept(graph: tf.Graph) -> _Kept:
    with _first:
        if not hasattr(graph, _KEPT):
            setattr(graph, _KEPT, _Kept())
        return getattr(graph, _KEPT)


def growing(graph: tf.Graph) -> contextlib.AbstractContextManager[bool]:
    """The lock that a thread has while it adds operations to a graph, or walks through all of them."""
    return _kept(graph).lock


def kept(graph: tf.Graph, key: Hashable, make: Callable[[], T]) -> T:
    """What was made of a graph under that key, made now if it is the first time.

    Args:
        graph: that it is kept with.
        key: what it depends on, tensors by their names.
        make: makes it, with the graph as the default one and locked; what it raises is raised, and nothing is kept.
    """
    of_graph = _kept(graph)
    with of_graph.lock:
        if key not in of_graph.made:
            with graph.as_default():
                of_graph.made[key] = make()
        return of_graph.made[key]
