"""ILSVRC's text files with the classes of its pictures (CLS-LOC, 2012 to 2017)."""

from __future__ import annotations

import csv
import dataclasses
import pathlib
from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from gradcam.boxes import Box
from gradcam.labelled import half_open, read_text

MAPS = ("map_clsloc.txt", "meta.mat")  # of later devkits and of 2012's
FORMATS = (
    "LOC_val_solution.csv ('ImageId,PredictionString'), Caffe's val.txt ('ILSVRC2012_val_00000001.JPEG 65') and "
    f"the devkit's ILSVRC20xx_validation_ground_truth.txt (a number a line, with {' or '.join(MAPS)} beside it)"
)


@dataclasses.dataclass(frozen=True)
class Annotation:
    """What a file says of one picture.

    Attributes:
        target: a WordNet id.
        boxes: around what is of that class; none where the file has none.
        size: width and height of the picture that the boxes were drawn on; None where the file has none.
    """

    target: str
    boxes: tuple[Box, ...] = ()
    size: tuple[int, int] | None = None


def read_list(path: pathlib.Path, names: Sequence[str]) -> dict[str, Annotation]:
    """Reads a text file with the classes of all pictures; which of three formats it has is seen in its first line.

    Args:
        path: of LOC_val_solution.csv, Caffe's val.txt or the devkit's validation_ground_truth.txt.
        names: of the pictures without suffixes, sorted: the devkit's file has lines in their order.

    Returns:
        What the file says of every picture that it names, by the picture's name without suffix.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: another format, a bad line, a picture named twice, or the devkit's file without its map.
    """
    lines = read_text(path).rstrip().splitlines()
    words = lines[0].split() if lines else []
    if lines and lines[0].replace(" ", "") == "ImageId,PredictionString":
        return _by_name(_kaggle(path, lines), path)
    if len(words) == 1 and words[0].isdecimal():
        return dict(zip(names, _devkit(path, lines, len(names))))
    if len(words) == 2 and words[1].isdecimal():
        return _by_name(_caffe(path, lines), path)
    raise ValueError(f"{path} is no list of ILSVRC's classes; the lists are {FORMATS}")


def the_class(names: Iterable[str], where: str) -> str:
    """The one class of the objects of a picture.

    Raises:
        ValueError: there are no objects, or there are several classes.
    """
    classes = sorted(set(names))
    if len(classes) != 1:
        found = f"objects of {len(classes)} classes ({', '.join(classes)})" if classes else "no objects"
        raise ValueError(f"{where} has {found}; a picture of CLS-LOC has objects of one class")
    return classes[0]


def _by_name(rows: Iterator[tuple[str, Annotation]], path: pathlib.Path) -> dict[str, Annotation]:
    result: dict[str, Annotation] = {}
    for name, annotation in rows:
        stem = pathlib.PurePosixPath(name).stem
        if stem in result:
            raise ValueError(f"{path} names the picture {stem} twice")
        result[stem] = annotation
    return result


def _kaggle(path: pathlib.Path, lines: list[str]) -> Iterator[tuple[str, Annotation]]:
    """'ILSVRC2012_val_00048981,n03995372 85 1 499 272 n03995372 ...': a class and four numbers a box."""
    for number, row in enumerate(csv.reader(lines[1:]), 2):
        try:
            name, words = row[0], row[1].split()
            boxes = [[float(word) for word in words[i + 1 : i + 5]] for i in range(0, len(words), 5)]
            found = tuple(half_open((x0, y0), (x1, y1)) for x0, y0, x1, y1 in boxes)
        except (IndexError, ValueError) as error:
            raise ValueError(f"{path}:{number}: {row} is no picture with a class and four numbers a box") from error
        yield name, Annotation(the_class(words[::5], f"{path}:{number}"), found)


def _caffe(path: pathlib.Path, lines: list[str]) -> Iterator[tuple[str, Annotation]]:
    """'ILSVRC2012_val_00000001.JPEG 65': the index in the order of ImageNet's sorted WordNet ids, from 0."""
    from gradcam.labels import read_labels  # brings TensorFlow, which only this list needs

    wnids = read_labels("imagenet").wnids
    rows = [line.split() for line in lines]
    for number, row in enumerate(rows, 1):
        if len(row) != 2 or not row[1].isdecimal():
            raise ValueError(f"{path}:{number}: {' '.join(row)!r} is no picture with an index")
    # ImageSets/CLS-LOC/val.txt looks alike, but its numbers are those of the pictures.
    if len(rows) > 1 and [row[1] for row in rows] == [str(i) for i in range(1, len(rows) + 1)]:
        raise ValueError(f"the numbers in {path} only count its lines; the lists of classes are {FORMATS}")
    for number, (name, index) in enumerate(rows, 1):
        if int(index) >= len(wnids):
            raise ValueError(f"{path}:{number}: the class {index} of {name} is out of range: indices are 0 to 999")
        yield name, Annotation(wnids[int(index)])


def _devkit(path: pathlib.Path, lines: list[str], count: int) -> list[Annotation]:
    """'490': ILSVRC's own number of the class, from 1 to 1000."""
    found, wnids = _devkit_classes(path)
    if len(lines) != count:
        raise ValueError(f"{path} has {len(lines)} lines for {count} pictures: its lines are the pictures in order")
    for number, line in enumerate(lines, 1):
        if line.strip() not in wnids:
            raise ValueError(f"{path}:{number}: {line!r} is none of the {len(wnids)} classes in {found.name}")
    return [Annotation(wnids[line.strip()]) for line in lines]


def _devkit_classes(path: pathlib.Path) -> tuple[pathlib.Path, dict[str, str]]:
    """The devkit's map beside a list or one folder above, and its WordNet ids by ILSVRC's numbers."""
    places = (path.absolute().parent, path.absolute().parent.parent)
    found = next((place / name for place in places for name in MAPS if (place / name).is_file()), None)
    if found is None:
        raise ValueError(
            f"{path} numbers the classes from 1 in an order of its own, not in that of the sorted WordNet ids; the "
            f"devkit's {' or '.join(MAPS)} has that order, but is neither in {places[0]} nor in {places[1]}: put it "
            "there, or give LOC_val_solution.csv, Caffe's val.txt or the XML annotations"
        )
    return found, (_map_of_matlab if found.suffix == ".mat" else _map_of_text)(found)


def _map_of_text(path: pathlib.Path) -> dict[str, str]:
    """Lines like 'n02119789 1 kit_fox'."""
    rows = [line.split() for line in read_text(path).splitlines() if line.strip()]
    if not all(len(row) >= 2 and row[1].isdecimal() for row in rows) or len({row[1] for row in rows}) < len(rows):
        raise ValueError(f"{path} is no map of classes with lines like 'n02119789 1 kit_fox', each number once")
    return {row[1]: row[0] for row in rows}


def _map_of_matlab(path: pathlib.Path) -> dict[str, str]:
    """An array `synsets` of records with the fields ILSVRC2012_ID and WNID."""
    from scipy import io  # half a second, which only this file needs

    try:
        synsets = np.atleast_1d(io.loadmat(path, squeeze_me=True)["synsets"])
        return {str(int(record["ILSVRC2012_ID"])): str(record["WNID"]) for record in synsets}
    except Exception as error:  # the reader raises nearly anything; whatever it is, the file is to blame
        raise ValueError(f"{path} is no map of classes, with a number and a WordNet id for each: {error}") from error
