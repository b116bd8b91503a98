"""What of a run of `gradcam explain` is there already, and what is in its way, before anything is computed."""

from __future__ import annotations

import functools
import os
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

from gradcam.cli.explain import Outcome
from gradcam.cli.predictions import Row, made_otherwise
from gradcam.cli.writer import File, Writer, in_the_way
from gradcam.pictures import read_provenance, source_of
from gradcam.targets import Asked, subject, told
from gradcam.terminal import MISTAKES
from slim_models.mistakes import BadValue


def check_folder(folder: pathlib.Path) -> None:
    """Whether files can be written to a folder, which need not be there.

    Raises:
        ValueError: something else is there, or it cannot be written to.
    """
    place = folder.absolute()
    while not place.exists():
        place = place.parent
    if not place.is_dir():
        raise BadValue(f"--out {folder}: {place} is a file, not a folder")
    if not os.access(place, os.W_OK | os.X_OK):
        raise BadValue(f"--out {folder}: nothing can be written to {place}")


class Resuming:
    """Looks for the files of a run.

    Attributes:
        writer: that would write them.
        targets: to explain; empty for each picture's predicted class, which is not known before it is run.
        num_classes: C.
        skip: whether pictures of which all files are there are done.
    """

    def __init__(self, writer: Writer, targets: Sequence[Asked], num_classes: int, skip: bool):
        self.writer, self.targets, self.num_classes, self.skip = writer, targets, num_classes, skip
        self._folders: dict[str, set[str]] = {}

    def begin(self, names: Mapping[str, str]) -> tuple[dict[str, str], Outcome]:
        """What is left of a run, and what is done.

        Args:
            names: source -> what its files' names begin with.

        Returns:
            The sources that are left with their names, and the outcome so far.

        Raises:
            ValueError: files are there that were made otherwise, and the writer may not write over them.
        """
        outcome, left = Outcome(len(names)), {}
        others: list[tuple[pathlib.Path, str]] = []
        for source, name in names.items():
            row, in_its_way = self._found(source, name)
            others += in_its_way
            if row is None or not self.skip:
                left[source] = name
                continue
            outcome.done += 1
            outcome.rows.append(row)
        if others and not self.writer.force:
            raise in_the_way(others)
        return left, outcome

    def _found(self, source: str, name: str) -> tuple[Row | None, list[tuple[pathlib.Path, str]]]:
        """The row of a picture, if all its files are there; and those of other pictures or numbers."""
        targets: list[Asked] = list(dict.fromkeys(self.targets)) or self._candidates(name)
        files = {target: self.writer.files(name, target) for target in targets}
        if not any(self._is_there(str(file.path)) for those in files.values() for file in those):
            return None, []
        try:
            which = source_of(source)
        except MISTAKES:  # told when it is read
            return None, []
        ways = {
            target: [
                (file.path, made_otherwise(file.path, self.writer.provenance(which, target, file))) for file in those
            ]
            for target, those in files.items()
        }
        complete = [target for target, those in ways.items() if all(how == "" for _, how in those)]
        if self.targets:
            others = [(path, how) for those in ways.values() for path, how in those if how]
            return (self._row(which, files) if len(complete) == len(files) else None), others
        for target in complete:
            row = self._row(which, {target: files[target]})
            if row["predicted"][0]["index"] == target:
                return row, []
        return None, []  # the class that the picture will be explained for may be another

    def _row(self, which: Mapping[str, Any], files: Mapping[Asked, Sequence[File]]) -> Row:
        """The row of a picture, out of its files."""
        said = {target: read_provenance(those[0].path) for target, those in files.items()}
        explained = [
            {
                "index": subject(target),
                **{key: made[key] for key in ("class", "probability", "output") if key in made},
                **told(target),
            }
            for target, made in said.items()
        ]
        folder = self.writer.naming.folder
        paths = [file.path.relative_to(folder).as_posix() for those in files.values() for file in those]
        first = next(iter(said.values()))
        shown = first["predicted"][: self.writer.top]
        known = {key: first[key] for key in ("none_fits",) if key in first}
        return {**which, "predicted": shown, **known, "explained": explained, "files": paths}

    def _candidates(self, name: str) -> list[Asked]:
        """The classes of which there is a file of a picture."""
        if not self.skip:
            return []
        paths = (path.replace("\0", name) for path in self._of_classes)
        return [target for target, path in enumerate(paths) if self._is_there(path)]

    @functools.cached_property
    def _of_classes(self) -> list[str]:
        """The first file of each class, with NUL in the place of the picture's name: there may be many pictures."""
        return [str(self.writer.files("\0", target)[0].path) for target in range(self.num_classes)]

    def _is_there(self, path: str) -> bool:
        """Whether there is such a file; a folder is read once, for there may be many pictures and classes."""
        folder, _, name = path.rpartition(os.sep)
        if folder not in self._folders:
            place = pathlib.Path(folder or ".")
            self._folders[folder] = {entry.name for entry in place.iterdir()} if place.is_dir() else set()
        return name in self._folders[folder]
