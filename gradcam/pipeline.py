"""Stages of work that overlap: the next result is computed in a thread while the caller works on the last."""

from __future__ import annotations

import concurrent.futures
import contextlib
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


@contextlib.contextmanager
def ahead(function: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Iterator[Result]]:
    """The results of a function in the order of its items, computed by one thread, one ahead of the caller.

        with ahead(read, names) as pictures, ahead(explain, pictures) as explanations:
            for explanation in explanations:
                write(explanation)

    reads the third picture while it explains the second and writes the first. That overlaps because what
    takes time (decoding, TensorFlow, NumPy, zlib) lets other threads run.

    Args:
        function: called by that thread alone.
        items: iterated by that thread too, so that waiting for them does not hold up the caller.

    Yields:
        The results. An error of `items` or `function` is raised in the place of its result. When the context
        is left nothing more is begun; it waits for the call under way, so that no thread outlives it.
    """
    source = iter(items)

    def step() -> list[Result]:
        """The next result; none at the end."""
        for item in source:
            return [function(item)]
        return []

    def results() -> Iterator[Result]:
        waiting = pool.submit(step)
        while found := waiting.result():
            waiting = pool.submit(step)
            yield found.pop()  # held by nobody here while the caller works on it

    pool = concurrent.futures.ThreadPoolExecutor(1)
    try:
        yield results()
    finally:
        pool.shutdown(cancel_futures=True)
