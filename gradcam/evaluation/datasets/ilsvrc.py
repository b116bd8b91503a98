"""ILSVRC's pictures for classification and localization (CLS-LOC, 2012 to 2017), with classes and boxes."""

from __future__ import annotations

import csv
import dataclasses
import functools
import os
import pathlib
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from xml.etree import ElementTree

from gradcam.boxes import Box
from gradcam.evaluation.datasets.example import Example, half_open
from gradcam.evaluation.datasets.matlab import read_records
from gradcam.evaluation.datasets.reading import in_file
from gradcam.pictures import images
from slim_models.files import read_text
from slim_models.mistakes import BadValue, MissingFile
from slim_models.running import shortened

# Where the data lies below its root, as its archives, Kaggle's and the devkits' are unpacked.
PICTURES = (".", "Data/CLS-LOC/val", "ILSVRC/Data/CLS-LOC/val", "ILSVRC2012_img_val", "val")
XML = (".", "val", "Annotations/CLS-LOC/val", "ILSVRC/Annotations/CLS-LOC/val", "ILSVRC2012_bbox_val_v3/val")
LISTS = ("LOC_val_solution.csv", "val.txt", "*devkit*/data/ILSVRC20*_validation_ground_truth.txt")

_WNID = re.compile(r"n\d{8}")
MAPS = ("map_clsloc.txt", "meta.mat")  # of later devkits and of 2012's
FORMATS = (
    "LOC_val_solution.csv ('ImageId,PredictionString'), Caffe's val.txt ('ILSVRC2012_val_00000001.JPEG 65') and "
    f"the devkit's ILSVRC20xx_validation_ground_truth.txt (a number a line, with {' or '.join(MAPS)} beside it)"
)


def ilsvrc_examples(
    pictures: str | os.PathLike,
    annotations: str | os.PathLike | None = None,
    labels: str | os.PathLike | None = None,
) -> list[Example]:
    """Finds ILSVRC's pictures, and the class and the boxes of each.

    Args:
        pictures: a folder of pictures, flat or in folders such as n01440764; or the root of the data, below
            which the validation pictures and what belongs to them are looked for.
        annotations: a folder of XML files, one a picture (name, xmin, ymin, xmax, ymax), or a list as for `labels`.
        labels: a list of classes: LOC_val_solution.csv, Caffe's val.txt, or the devkit's
            ILSVRC20xx_validation_ground_truth.txt with its map_clsloc.txt or meta.mat beside it or one folder above. It
            gives the class of pictures that `annotations` lacks.

    Returns:
        The pictures in order of their names, which are the files' without suffix. A class is a WordNet id;
        where nothing else names a picture's class, that is the folder's name.

    Raises:
        FileNotFoundError: there are no pictures, or no such file of annotations or labels.
        ValueError: a file is broken, two disagree, two pictures have one name, or a picture has no class.
    """
    root = pathlib.Path(pictures)
    files = _by_stem(picture_files(root))
    if not files:
        raise MissingFile(f"no pictures of ILSVRC in {root}; looked in {', '.join(PICTURES)} there")
    if annotations is None:
        annotations = next((root / place for place in XML if any(_files(root / place, (".xml",)))), None)
    if annotations is None and labels is None:
        labels = next((path for place in LISTS for path in sorted(root.glob(place))), None)
    boxed, listed = ({} if path is None else _read(pathlib.Path(path), files) for path in (annotations, labels))
    folders = {name: of for name, path in files.items() if (of := _of_folder(pathlib.PurePath(path).parent.name))}
    others = {**folders, **boxed}
    _check_agreement({name: (others[name].target, listed[name].target) for name in others.keys() & listed.keys()})
    known = {**folders, **listed, **boxed}
    unknown = [name for name in files if name not in known]
    if unknown:
        found = f"no class for {len(unknown)} of {len(files)} pictures in {root}, the first being {unknown[0]}"
        raise BadValue(f"{found}: give annotations (a folder of XML files) or labels ({FORMATS})")
    return [_example(name, path, known[name]) for name, path in files.items()]


@functools.lru_cache(maxsize=2000)
def _of_folder(name: str) -> Annotation | None:
    """What a folder's name says of the pictures in it, of which there may be a million; None if nothing."""
    return Annotation(name) if _WNID.fullmatch(name) else None


def picture_files(root: pathlib.Path) -> Iterator[pathlib.Path]:
    """The pictures of ILSVRC in a folder, or else in the first of `PICTURES` below it that has some."""
    for place in PICTURES:
        found = _files(root / place, images.SUFFIXES)
        first = next(found, None)
        if first is not None:
            yield first
            yield from found
            return


def _files(folder: pathlib.Path, suffixes: tuple[str, ...]) -> Iterator[pathlib.Path]:
    """Files of some kinds in a folder, and in those of its folders that are named after a class."""
    for path in folder.iterdir() if folder.is_dir() else ():
        if _WNID.fullmatch(path.name) and path.is_dir():
            yield from _files(path, suffixes)
        elif path.suffix.lower() in suffixes and not path.name.startswith("."):  # as macOS's ._a.JPEG
            yield path


def _by_stem(paths: Iterable[pathlib.Path]) -> dict[str, str]:
    """Name without suffix -> file, in order of the names; the files as texts, which are a third as large."""
    result: dict[str, str] = {}
    for name, path in sorted((path.stem, str(path)) for path in paths):
        if name in result:
            raise BadValue(f"two files have the name {name}: {result[name]} and {path}")
        result[name] = path
    return result


def _read(path: pathlib.Path, pictures: Mapping[str, str]) -> dict[str, Annotation]:
    """A list or a folder of XML files -> what it says of every picture, by name."""
    if not path.is_dir():
        return read_list(path, list(pictures))
    found = _by_stem(_files(path, (".xml",)))
    if not found:
        raise MissingFile(f"no XML files in {path}")
    return {name: read_xml(pathlib.Path(found[name])) for name in pictures if name in found}


def _check_agreement(targets: Mapping[str, tuple[str, str]]) -> None:
    """Fails where annotations and labels cannot both be right: then they are of different data, or misread."""
    for name, (boxed, listed) in sorted(targets.items()):
        if boxed != listed:
            raise BadValue(f"{name} is {boxed} by its annotations or its folder, and {listed} by the labels")


def _example(name: str, path: str, annotation: Annotation) -> Example:
    return Example(name, annotation.target, annotation.boxes, in_file(path, annotation.size))


@dataclasses.dataclass(frozen=True, slots=True)
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
    raise BadValue(f"{path} is no list of ILSVRC's classes; the lists are {FORMATS}")


def the_class(names: Iterable[str], where: str) -> str:
    """The one class of the objects of a picture.

    Raises:
        ValueError: there are no objects, or there are several classes.
    """
    classes = sorted(set(names))
    if len(classes) != 1:
        found = f"objects of {len(classes)} classes ({', '.join(classes)})" if classes else "no objects"
        raise BadValue(f"{where} has {found}; a picture of CLS-LOC has objects of one class")
    return classes[0]


def _by_name(rows: Iterator[tuple[str, Annotation]], path: pathlib.Path) -> dict[str, Annotation]:
    result: dict[str, Annotation] = {}
    for name, annotation in rows:
        stem = pathlib.PurePosixPath(name).stem
        if stem in result:
            raise BadValue(f"{path} names the picture {stem} twice")
        result[stem] = annotation
    return result


def _kaggle(path: pathlib.Path, lines: list[str]) -> Iterator[tuple[str, Annotation]]:
    """'ILSVRC2012_val_00048981,n03995372 85 1 499 272 n03995372 ...': a class and four numbers a box."""
    for number, row in _csv_rows(path, lines):
        try:
            name, words = row[0], row[1].split()
            boxes = [[float(word) for word in words[i + 1 : i + 5]] for i in range(0, len(words), 5)]
            found = tuple(half_open((x0, y0), (x1, y1)) for x0, y0, x1, y1 in boxes)
        except (IndexError, ValueError) as error:
            raise BadValue(f"{path}:{number}: {row} is no picture with a class and four numbers a box") from error
        yield name, Annotation(the_class(words[::5], f"{path}:{number}"), found)


def _csv_rows(path: pathlib.Path, lines: list[str]) -> Iterator[tuple[int, list[str]]]:
    """The lines below the first, with their numbers, taken apart."""
    reader = csv.reader(lines[1:])
    try:
        yield from enumerate(reader, 2)
    except csv.Error as error:
        raise BadValue(f"{path}:{reader.line_num + 1}: {error}") from error


def _caffe(path: pathlib.Path, lines: list[str]) -> Iterator[tuple[str, Annotation]]:
    """'ILSVRC2012_val_00000001.JPEG 65': the index in the order of ImageNet's sorted WordNet ids, from 0."""
    from slim_models.labels import read_labels  # brings TensorFlow, which only this list needs

    wnids = read_labels("imagenet").wnids
    rows = [line.split() for line in lines]
    for number, row in enumerate(rows, 1):
        if len(row) != 2 or not row[1].isdecimal():
            raise BadValue(f"{path}:{number}: {shortened(' '.join(row), 100)!r} is no picture with an index")
    # ImageSets/CLS-LOC/val.txt looks alike, but its numbers are those of the pictures.
    if len(rows) > 1 and [row[1] for row in rows] == [str(i) for i in range(1, len(rows) + 1)]:
        raise BadValue(f"the numbers in {path} only count its lines; the lists of classes are {FORMATS}")
    for number, (name, index) in enumerate(rows, 1):
        if int(index) >= len(wnids):
            raise BadValue(f"{path}:{number}: the class {index} of {name} is out of range: indices are 0 to 999")
        yield name, Annotation(wnids[int(index)])


def _devkit(path: pathlib.Path, lines: list[str], count: int) -> list[Annotation]:
    """'490': ILSVRC's own number of the class, from 1 to 1000."""
    found, wnids = _devkit_classes(path)
    if len(lines) != count:
        raise BadValue(f"{path} has {len(lines)} lines for {count} pictures: its lines are the pictures in order")
    for number, line in enumerate(lines, 1):
        if line.strip() not in wnids:
            raise BadValue(
                f"{path}:{number}: {shortened(line, 100)!r} is none of the {len(wnids)} classes in {found.name}"
            )
    return [Annotation(wnids[line.strip()]) for line in lines]


def _devkit_classes(path: pathlib.Path) -> tuple[pathlib.Path, dict[str, str]]:
    """The devkit's map beside a list or one folder above, and its WordNet ids by ILSVRC's numbers."""
    places = (path.absolute().parent, path.absolute().parent.parent)
    found = next((place / name for place in places for name in MAPS if (place / name).is_file()), None)
    if found is None:
        raise BadValue(
            f"{path} numbers the classes from 1 in an order of its own, not in that of the sorted WordNet ids; the "
            f"devkit's {' or '.join(MAPS)} has that order, but is neither in {places[0]} nor in {places[1]}: put it "
            "there, or give LOC_val_solution.csv, Caffe's val.txt or the XML annotations"
        )
    return found, (_map_of_matlab if found.suffix == ".mat" else _map_of_text)(found)


def _map_of_text(path: pathlib.Path) -> dict[str, str]:
    """Lines like 'n02119789 1 kit_fox'."""
    rows = [line.split() for line in read_text(path).splitlines() if line.strip()]
    if not all(len(row) >= 2 and row[1].isdecimal() for row in rows) or len({row[1] for row in rows}) < len(rows):
        raise BadValue(f"{path} is no map of classes with lines like 'n02119789 1 kit_fox', each number once")
    return {row[1]: row[0] for row in rows}


def _map_of_matlab(path: pathlib.Path) -> dict[str, str]:
    """An array `synsets` of records with the fields ILSVRC2012_ID and WNID."""
    try:
        records = read_records(path, "synsets", ("ILSVRC2012_ID", "WNID"))
        result = {str(int(record["ILSVRC2012_ID"])): str(record["WNID"]) for record in records}
        wrong = [wnid for wnid in result.values() if not _WNID.fullmatch(wnid)]
        if wrong or not len(result) == len(set(result.values())) == len(records):
            raise BadValue(f"{shortened(wrong[0], 100)!r} is no WordNet id" if wrong else "a class is there twice")
        return result
    except (ValueError, OverflowError) as error:
        raise BadValue(f"{path} is no map of classes, with a number and a WordNet id for each: {error}") from error


def read_xml(path: pathlib.Path) -> Annotation:
    """Reads the objects of one picture, of one class.

    Args:
        path: of the file, which has the picture's name (`filename` in it does not always).

    Returns:
        The class of all objects, their boxes, and the picture's size.

    Raises:
        ValueError: the file is broken, lacks something, or has no objects or several classes.
    """
    size, objects = read_objects(path)
    boxes = tuple(half_open(first, last, size) for _, first, last, _ in objects)
    return Annotation(the_class([name for name, *_ in objects], str(path)), boxes, size)


Corner = tuple[float, float]


def read_objects(path: pathlib.Path) -> tuple[tuple[int, int], list[tuple[str, Corner, Corner, bool]]]:
    """Reads the objects of one picture, of any classes, from XML as ILSVRC and PASCAL VOC have it.

    Returns:
        Width and height of the picture; of each object its class, x and y of its first and its last pixel as they
        stand there, and whether it is flagged as difficult.

    Raises:
        ValueError: the file is broken, or lacks something.
    """
    try:
        root = ElementTree.parse(path).getroot()
    except Exception as error:  # of damage the parser raises nearly anything: a LookupError of an unknown encoding
        raise BadValue(f"{path} cannot be read: {error}") from error
    try:
        size = (int(_text(root, "size/width")), int(_text(root, "size/height")))
        objects = []
        for item in root.iter("object"):
            x0, y0, x1, y1 = (float(_text(item, f"bndbox/{side}")) for side in ("xmin", "ymin", "xmax", "ymax"))
            half_open((x0, y0), (x1, y1), size)  # complains of boxes without a pixel
            difficult = item.findtext("difficult", "0").strip() == "1"
            objects.append((_text(item, "name"), (x0, y0), (x1, y1), difficult))
    except ValueError as error:
        raise BadValue(f"{path} cannot be read: {error}") from error
    return size, objects


def _text(item: ElementTree.Element, tag: str) -> str:
    text = item.findtext(tag, "").strip()
    if not text:
        raise BadValue(f"<{item.tag}> has no {tag}")
    return text
