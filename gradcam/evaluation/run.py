"""A network over a data set, in batches of bounded memory; what is measured is the caller's."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import json
import os
import pathlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from tqdm import tqdm

from gradcam.evaluation.datasets import Example
from gradcam.explainer import Explainer
from gradcam.pictures import Photograph
from gradcam.pipeline import ahead
from slim_models.mistakes import BadValue

Row = dict[str, Any]  # what is known of one picture, as JSON can hold it


@dataclasses.dataclass(frozen=True, eq=False)
class Batch:
    """Labelled pictures, ready for a network.

    Attributes:
        examples: what the data set says of the N pictures.
        photographs: the pictures at their own size.
        images: `[N, H, W, 3]`, RGB in [0, 255], at the network's size.
        targets: `[N]`, the indices of their classes.
    """

    examples: Sequence[Example]
    photographs: Sequence[Photograph]
    images: np.ndarray
    targets: np.ndarray


Measure = Callable[[Explainer, Batch], list[Row]]


def evaluate(
    explainer: Explainer,
    examples: Sequence[Example],
    measure: Measure,
    journal: Journal,
    *,
    batch: int = 50,
    fit: str = "stretch",
) -> list[Row]:
    """Measures every picture that the journal does not have yet, with a progress bar on a terminal.

    Args:
        explainer: with the rules and layers that `measure` needs.
        examples: the data set, in an order that stays.
        measure: explainer and batch -> a row a picture, of what JSON can hold.
        journal: of this run.
        batch: pictures at a time.
        fit: `"stretch"` or `"crop"`, as in `fitting.region`.

    Returns:
        The rows of all pictures, in their order.

    Raises:
        KeyError: the class of a picture is none of the network's.
        ValueError: a picture is damaged; or the journal's rows are not of these pictures.
    """
    if batch < 1:
        raise BadValue(f"a batch has at least 1 picture, not {batch}")
    for target in {example.target: None for example in examples}:
        explainer.index(target)  # complains before hours of work
    parts = [examples[start : start + batch] for start in range(0, len(examples), batch)]
    names = [[example.name for example in part] for part in parts]
    if [[row["name"] for row in rows] for rows in journal.batches] != names[: len(journal.batches)]:
        raise BadValue(f"{journal.path} holds rows of other pictures: begin afresh, or write elsewhere")
    done = sum(map(len, journal.batches))
    prepare = functools.partial(_prepared, explainer, fit)
    with (
        tqdm(total=len(examples), initial=done, unit="picture", disable=None, leave=False) as progress,
        ahead(prepare, parts[len(journal.batches) :]) as batches,
    ):
        for ready in batches:
            rows = measure(explainer, ready)
            journal.append([{"name": example.name, **row} for example, row in zip(ready.examples, rows)])
            progress.update(len(rows))
    return journal.rows


def _prepared(explainer: Explainer, fit: str, part: Sequence[Example]) -> Batch:
    photographs = _read(part, fit)
    images = np.stack([photograph.fitted(explainer.network.image_size) for photograph in photographs])
    return Batch(part, photographs, images, np.array([explainer.index(example.target) for example in part]))


def _read(part: Sequence[Example], fit: str) -> list[Photograph]:
    photographs = []
    for example in part:
        try:
            photographs.append(Photograph(example.name, example.read(), fit))
        except ValueError as error:
            raise BadValue(f"{example.name}: {error}") from error
    return photographs


def fingerprint(weights: Mapping[str, np.ndarray]) -> str:
    """The first 16 digits of a SHA-256 over names and values: what tells two sets of weights apart."""
    digest = hashlib.sha256()
    for name in sorted(weights):
        digest.update(f"{name} {np.shape(weights[name])} {weights[name].dtype}".encode())
        digest.update(np.ascontiguousarray(weights[name]).tobytes())
    return digest.hexdigest()[:16]


class Journal:
    """Batches of rows, one line of JSON each, after a line that says what they are rows of.

    A line is a whole batch: what a process that was killed had half written is forgotten, and the batches after
    it are made of the same pictures as in a run without an interruption.

    Attributes:
        path: of the file.
        batches: the rows so far, batch by batch.
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
        self.batches: list[list[Row]] = []
        protocol = json.loads(json.dumps(protocol))
        self._head = json.dumps(protocol) + "\n"
        self._size = 0
        lines = self._whole_lines() if self.path.exists() and not fresh else []
        if lines:
            self._check(lines[0], protocol)
            self.batches = [json.loads(line) for line in lines[1:]]
            self._size = self.path.stat().st_size

    @property
    def rows(self) -> list[Row]:
        """All rows in their order."""
        return [row for batch in self.batches for row in batch]

    def append(self, rows: Sequence[Row]) -> None:
        """Adds a batch; it is on disk when this returns.

        Raises:
            ValueError: somebody else has written to the file since.
        """
        if self._size and self.path.stat().st_size != self._size:
            raise BadValue(f"another run writes to {self.path} too: wait for it, or write elsewhere")
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("ab" if self._size else "wb") as file:
            file.write(("" if self._size else self._head).encode() + json.dumps(list(rows)).encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())
            self._size = file.tell()
        self.batches.append(list(rows))

    def _whole_lines(self) -> list[bytes]:
        """The lines that end; the rest, which a killed process left, is cut off the file."""
        data = self.path.read_bytes()
        end = data.rfind(b"\n") + 1
        if end < len(data):
            with self.path.open("r+b") as file:
                file.truncate(end)
        return data[:end].splitlines()

    def _check(self, line: bytes, protocol: Mapping[str, Any]) -> None:
        try:
            found = dict(json.loads(line))
        except (ValueError, TypeError) as error:
            raise BadValue(f"{self.path} is not the journal of a run") from error
        other = [key for key in {**protocol, **found} if found.get(key) != protocol.get(key)]
        if other:
            differences = ", ".join(f"{key} {found.get(key)!r}, not {protocol.get(key)!r}" for key in other)
            raise BadValue(f"{self.path} holds rows of another run ({differences}): begin afresh, or write elsewhere")
