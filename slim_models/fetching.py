"""A file from the web in bounded time and of bounded size, whatever the server does."""

from __future__ import annotations

import pathlib
import sys
import threading
import time

from slim_models.mistakes import BadValue, Unreachable

SLOWEST = 50_000  # bytes a second; what is slower, all in all, has failed
GRACE, SILENCE = 60, 30  # seconds: beside those that the size takes; without a byte
_PIECE = 2**16  # bytes of one reading, which a server can have packed a thousandfold


def fetch(url: str, file: pathlib.Path, expected: int, most: int) -> None:
    """Fetches a file.

    Args:
        url: its address.
        file: where it goes.
        expected: bytes; together with what the server promises they are the time that it may take.
        most: bytes of any file.

    Raises:
        OSError: the server cannot be reached, refuses, breaks off, or takes too long.
        ValueError: it sends more than `most`.
    """
    watch = _Watch(file, most)
    thread = threading.Thread(target=watch.run, args=[url], daemon=True)  # what waits for a server cannot be ended
    began = time.monotonic()
    thread.start()
    try:
        while thread.is_alive():
            thread.join(0.1)
            seconds = GRACE + max(expected, min(watch.total or 0, most)) / SLOWEST
            if thread.is_alive() and time.monotonic() - began > seconds:
                raise Unreachable(f"not all has come after {seconds:.0f} seconds: it comes too slowly")
    finally:
        watch.stopped = True
    error, watch.error = watch.error, None
    if error is not None:
        try:
            raise error
        finally:
            del error  # which would keep its own frame, and so the connection, until memory is looked through


class _Watch:
    """Fetches in a thread of its own, and is the progress bar that is told of every piece.

    Attributes:
        total: bytes that the server promises; 0 or None if it does not.
        stopped: whether nobody waits any more.
        error: what has gone wrong.
    """

    def __init__(self, file: pathlib.Path, most: int):
        from tqdm import tqdm

        self.total: int | None = None
        self.stopped = False
        self.error: Exception | None = None
        self._file, self._most = file, most
        self._bar = tqdm(unit="B", unit_scale=True, ncols=79, disable=not sys.stderr.isatty())

    def run(self, url: str) -> None:
        """Fetches; `error` has what is raised."""
        import pooch

        plain = {"Accept-Encoding": "identity"}
        downloader = pooch.HTTPDownloader(self, chunk_size=_PIECE, timeout=SILENCE, headers=plain)
        try:
            downloader(url, str(self._file), None)
        except Exception as error:  # told by who waits
            self.error = error
        finally:
            self._bar.close()

    def update(self, count: int) -> None:
        """Another piece has come.

        Raises:
            ValueError: there are too many.
        """
        if self.stopped:
            raise Unreachable("it is not waited for any more")
        if self._file.stat().st_size > self._most:
            raise BadValue(f"more than {self._most:,} bytes have come, more than any weights that are fetched here")
        self._bar.total = self.total
        self._bar.update(self._file.stat().st_size - self._bar.n)

    def reset(self) -> None:
        """Nothing: the bar is at its end when the last piece has come."""

    def close(self) -> None:
        """As of `reset`."""
