"""A CSV file of one's own pictures, with their classes and boxes."""

from __future__ import annotations

import csv
import io
import math
import os
import pathlib
from collections.abc import Iterator, Mapping

from gradcam.boxes import Box
from gradcam.evaluation.datasets.example import Example, unique
from gradcam.evaluation.datasets.reading import InFile
from slim_models.files import read_text
from slim_models.mistakes import BadValue, MissingFile

COLUMNS = ("path", "class", "boxes")


def csv_examples(path: str | os.PathLike) -> list[Example]:
    """Reads a list of pictures with classes and boxes of one's own.

    Args:
        path: of a CSV file whose first line is `path,class,boxes`. A path is absolute or relative to the
            file's folder; a class is a WordNet id, a name or an index; boxes are `x0 y0 x1 y1; x0 y0 x1 y1` in
            pixels, half open, or nothing.

    Returns:
        The pictures in the order of the lines, named by their paths as given; a path that comes again, with
        another class, is named `a.jpg#2`.

    Raises:
        FileNotFoundError: the file or a picture is missing.
        ValueError: a line is wrong; the message has its number.
    """
    path = pathlib.Path(path)
    parsed: dict[tuple[str, str | int], tuple[Box, ...]] = {}
    for number, row in _rows(path):
        try:
            name, target, boxes = _parsed(row)
        except ValueError as error:
            raise BadValue(f"{path}:{number}: {error}") from error
        if (name, target) in parsed:
            raise BadValue(f"{path}:{number}: {name} with the class {target} again; give its boxes in one line")
        if not (path.parent / name).is_file():
            raise MissingFile(f"{path}:{number}: no picture at {path.parent / name}")
        parsed[name, target] = boxes
    if not parsed:
        raise BadValue(f"{path} lists no pictures")
    names = unique(name for name, _ in parsed)
    files = [InFile(str(path.parent / name)) for name, _ in parsed]
    return [Example(n, target, boxes, f) for n, f, ((_, target), boxes) in zip(names, files, parsed.items())]


def _rows(path: pathlib.Path) -> Iterator[tuple[int, Mapping[str | None, str | None]]]:
    """The lines below the header, with their numbers."""
    reader = csv.DictReader(io.StringIO(read_text(path)), skipinitialspace=True)
    try:
        missing = [column for column in COLUMNS if column not in (reader.fieldnames or ())]
        if missing:
            needed = f"the first line must be {','.join(COLUMNS)}"
            raise BadValue(f"{path}:1: no column {' and no column '.join(missing)}; {needed}")
        for row in reader:
            yield reader.line_num, row
    except csv.Error as error:
        raise BadValue(f"{path}:{reader.line_num}: {error}") from error


def _parsed(row: Mapping[str | None, str | None]) -> tuple[str, str | int, tuple[Box, ...]]:
    """A line -> path, class, boxes."""
    name, target, boxes = (row[column] for column in COLUMNS)
    if name is None or target is None or boxes is None:
        raise BadValue(f"missing column {next(column for column in COLUMNS if row[column] is None)}")
    if None in row:  # where DictReader puts them
        raise BadValue(f"too many columns, from {row[None]} on; put a text with commas in quotation marks")
    name, target = name.strip(), target.strip()
    if not name or not target:
        raise BadValue("the path is empty" if not name else f"{name} has no class")
    return name, int(target) if target.isdecimal() else target, tuple(_box(b) for b in boxes.split(";") if b.strip())


def _box(text: str) -> Box:
    try:
        x0, y0, x1, y1 = map(float, text.split())
    except ValueError:
        raise BadValue(f"the box {text.strip()!r} is not four numbers x0 y0 x1 y1") from None
    if not all(map(math.isfinite, (x0, y0, x1, y1))):
        raise BadValue(f"the box {text.strip()!r} is not finite")
    if x0 < 0 or y0 < 0:
        raise BadValue(f"the box {text.strip()!r} begins outside the picture")
    if x1 <= x0 or y1 <= y0:
        raise BadValue(f"the box {text.strip()!r} is empty: {'x1 <= x0' if x1 <= x0 else 'y1 <= y0'}")
    return x0, y0, x1, y1
