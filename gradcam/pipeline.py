"""Stages of work that overlap: the next result is computed in a thread while the caller works on the last.

What large items hold in all stages together is bounded: `portions` takes fewer of them at a time, and a `Room` lets
the first stage wait until the last is done with some.
"""

from __future__ import annotations

import concurrent.futures
import contextlib
import threading
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


def portions(
    items: Iterable[Item], count: int, weigh: Callable[[Item], int], most: int
) -> Iterator[tuple[list[Item], int]]:
    """Items in their order, some at a time, with what they weigh together.

    Args:
        items: each is weighed when its turn comes.
        count: how many there are in a portion, at most.
        weigh: item -> bytes.
        most: that a portion weighs, unless it is a single item.
    """
    portion: list[Item] = []
    weight = 0
    for item in items:
        added = weigh(item)
        if portion and (len(portion) == count or weight + added > most):
            yield portion, weight
            portion, weight = [], 0
        portion.append(item)
        weight += added
    if portion:
        yield portion, weight


class Room:
    """So many bytes that stages may hold together: who finds none left waits until some are given back.

    With nothing held there is room for anything, however large. As a context it ends with everybody let in, so that
    nobody waits for what will not come: enter it last.
    """

    def __init__(self, most: int):
        self._most, self._held, self._closed = most, 0, False
        self._changed = threading.Condition()

    def __enter__(self) -> Room:
        return self

    def __exit__(self, *_: object) -> None:
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def take(self, size: int) -> None:
        """Waits until there is room for `size` bytes, and holds them."""
        with self._changed:
            self._changed.wait_for(lambda: self._closed or not self._held or self._held + size <= self._most)
            self._held += size

    def give(self, size: int) -> None:
        """Gives back what was taken."""
        with self._changed:
            self._held -= size
            self._changed.notify_all()
