"""The rows of a long run on disk, so that a run that was killed goes on where it stopped."""

from __future__ import annotations

import contextlib
import itertools
import json
import operator
import os
import pathlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from slim_models.files import parsed_json
from slim_models.locks import Lock
from slim_models.mistakes import BadValue

Row = dict[str, Any]  # one picture's numbers, as JSON can hold them


class Journal:
    """Batches of rows, one line of JSON each, after a line that says what they are rows of.

    A line is a whole batch: what a process that was killed had half written is forgotten, and the batches after
    it are made of the same pictures as in a run without an interruption. The rows stay on disk, however many.

    Attributes:
        path: of the file.
        protocol: everything that the rows depend on, as JSON has it.
    """

    def __init__(self, path: str | os.PathLike, protocol: Mapping[str, Any], fresh: bool = False):
        """Opens the journal of a run; a new file appears with the first batch.

        Args:
            path: of the file; folders on the way are made.
            protocol: everything that the rows depend on, as JSON has it.
            fresh: forget what the file holds.

        Raises:
            ValueError: the file holds rows of another run, or is no journal.
        """
        self.path = pathlib.Path(path)
        self._count = 0
        self._form: Row | None = None  # that all rows have
        self.protocol: Row = json.loads(json.dumps(protocol))
        self._head = json.dumps(protocol) + "\n"
        self._is_held = False
        self._size, self._seen = 0, None if fresh else self.path.stat().st_size if self.path.exists() else 0
        if self._seen:
            with self.path.open("rb") as file:
                for number, line in enumerate(file, 1):
                    if not line.endswith(b"\n"):  # which a killed process left: it is cut off before the next batch
                        break
                    if number == 1:
                        self._check(line, protocol)
                    else:
                        self._count += len(self._batch(number, line))
                    self._size += len(line)

    @property
    def rows(self) -> Rows:
        """All rows in their order."""
        return Rows(self)

    def __len__(self) -> int:
        """How many rows there are."""
        return self._count

    def batches(self) -> Iterator[list[Row]]:
        """The rows batch by batch, each read when it is asked for."""
        if not self._count:
            return
        with self.path.open("rb") as file:
            place = len(file.readline())
            while place < self._size:
                line = file.readline()
                place += len(line)
                yield json.loads(line)

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """Keeps other runs from writing to the journal.

        Raises:
            ValueError: another run has it, or has written to it since it was opened.
        """
        if self._is_held:
            yield
            return
        others = f"another run writes to {self.path} too: wait for it, or write elsewhere"
        self.path.parent.mkdir(parents=True, exist_ok=True)
        lock = Lock(self.path.with_name(f".{self.path.name}.lock"))
        if not lock.acquire():
            raise BadValue(others)
        try:
            if self._seen is not None and self._seen != (self.path.stat().st_size if self.path.exists() else 0):
                raise BadValue(others)
            self._is_held = True
            yield
        finally:
            self._is_held = False
            lock.release()

    def append(self, rows: Sequence[Row]) -> None:
        """Adds a batch; it is on disk when this returns.

        Raises:
            ValueError: as of `held`.
        """
        with self.held():
            with self.path.open("r+b" if self._size else "wb") as file:
                file.truncate(self._size)
                file.seek(self._size)
                file.write(("" if self._size else self._head).encode() + json.dumps(list(rows)).encode() + b"\n")
                file.flush()
                os.fsync(file.fileno())
                self._size = self._seen = file.tell()
            self._count += len(rows)

    def _batch(self, number: int, line: bytes) -> list[Row]:
        try:
            rows = parsed_json(line, "the line")
        except BadValue as error:
            raise BadValue(f"{self.path}:{number}: {error}: begin afresh") from error
        if not rows or not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
            raise BadValue(f"{self.path}:{number}: the line holds no rows: begin afresh")
        try:
            for row in rows:
                self._form = row if self._form is None else _joined(self._form, row)
        except BadValue as error:
            raise BadValue(
                f"{self.path}:{number}: the line's rows are of another form than the first: begin afresh"
            ) from error
        return rows

    def _check(self, line: bytes, protocol: Mapping[str, Any]) -> None:
        found = protocol_of(line, self.path)
        other = [key for key in {**protocol, **found} if found.get(key) != protocol.get(key)]
        if other:
            differences = ", ".join(f"{key} {found.get(key)!r}, not {protocol.get(key)!r}" for key in other)
            raise BadValue(f"{self.path} holds rows of another run ({differences}): begin afresh, or write elsewhere")


def read_journal(path: pathlib.Path) -> Journal:
    """Opens a journal to read what it holds, of whatever run.

    Raises:
        FileNotFoundError: there is none.
        ValueError: it is none.
    """
    with path.open("rb") as file:
        return Journal(path, protocol_of(file.readline(), path))


def protocol_of(line: bytes, path: pathlib.Path) -> Row:
    """What the first line of a journal says it is of."""
    try:
        found = parsed_json(line, str(path))
    except BadValue:
        found = None
    if not isinstance(found, dict):
        raise BadValue(f"{path} is not the journal of a run")
    return found


class Rows(Sequence[Row]):
    """The rows of a journal, which are read from it each time that they are gone through: there may be a million."""

    def __init__(self, journal: Journal):
        self._journal, self._count = journal, len(journal)

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[Row]:
        return itertools.islice(itertools.chain.from_iterable(self._journal.batches()), self._count)

    def __getitem__(self, place: Any) -> Any:
        if isinstance(place, slice):
            return list(self)[place]
        return next(itertools.islice(self, range(self._count)[place], None))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and len(self) == len(other) and all(map(operator.eq, self, other))

    def __repr__(self) -> str:
        return f"<{self._count} rows of {self._journal.path}>"


def _joined(form: Any, value: Any) -> Any:
    """The form of both: the same keys all the way down, and numbers or strings at the same places; null may be either.

    Raises:
        ValueError: they are of different forms.
    """
    if isinstance(form, dict) and isinstance(value, dict) and form.keys() == value.keys():
        return {key: _joined(form[key], value[key]) for key in form}
    if isinstance(form, list) and isinstance(value, list):
        inner = form[:1]
        for one in value:
            inner = [_joined(inner[0], one) if inner else one]
        return inner
    known = [one for one in (form, value) if one is not None]
    if all(isinstance(one, (int, float)) for one in known) or all(isinstance(one, str) for one in known):
        return known[0] if known else None
    raise BadValue("of another form")
