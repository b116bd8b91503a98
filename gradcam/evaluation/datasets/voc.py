"""PASCAL VOC's pictures, 2007 and later, with objects of several classes."""

from __future__ import annotations

import os
import pathlib

from gradcam.evaluation.datasets.example import Example, half_open
from gradcam.evaluation.datasets.ilsvrc import read_objects
from gradcam.evaluation.datasets.reading import in_file
from gradcam.evaluation.datasets.several import examples_of
from slim_models.files import read_text
from slim_models.mistakes import BadValue, MissingFile
from slim_models.running import shortened

ROOTS = (".", "VOC2007", "VOCdevkit/VOC2007")
_LONGEST = 200  # letters of a name
LISTS = ("ImageSets/Main/test.txt", "ImageSets/Main/val.txt")  # the first that is there


def voc_root(path: pathlib.Path) -> pathlib.Path | None:
    """The folder of VOC's data in or below a folder, with its `Annotations` and `JPEGImages`; None if there is none."""
    for place in ROOTS:
        if (path / place / "Annotations").is_dir() and (path / place / "JPEGImages").is_dir():
            return path / place
    return None


def voc_examples(path: str | os.PathLike, labels: str | os.PathLike | None = None) -> list[Example]:
    """Finds VOC's pictures, and of each an example for every class that it shows.

    A class of which all objects are flagged as difficult is left out, as in TorchRay's pointing game; boxes of objects
    that are flagged beside others of their class stay.

    Args:
        path: the folder `VOC2007`, or one with `VOCdevkit` in it.
        labels: a list of the pictures, a name a line; None is the first of `LISTS` that is there, or else all.

    Returns:
        The examples in order of the list; a class is VOC's own name, `"aeroplane"`.

    Raises:
        FileNotFoundError: there is no such data, or a picture or its annotation is missing.
        ValueError: an annotation or the list is broken.
    """
    root = voc_root(pathlib.Path(path))
    if root is None:
        raise MissingFile(f"no Annotations and JPEGImages of PASCAL VOC in {path}; looked in {', '.join(ROOTS)} there")
    listed = pathlib.Path(labels) if labels else next((root / one for one in LISTS if (root / one).is_file()), None)
    names = _names(listed) if listed else sorted(file.stem for file in (root / "Annotations").glob("*.xml"))
    if not names:
        raise BadValue(f"{listed or root / 'Annotations'} lists no pictures")
    return [example for name in names for example in _examples(root, name)]


def _names(path: pathlib.Path) -> list[str]:
    names = [line.split()[0] for line in read_text(path).splitlines() if line.strip()]
    twice = next((name for name, other in zip(sorted(names), sorted(names)[1:]) if name == other), None)
    if twice:
        raise BadValue(f"{path} names the picture {twice} twice")
    strange = next((name for name in names if pathlib.PurePath(name).name != name or len(name) > _LONGEST), None)
    if strange:
        raise BadValue(f"{path}: {shortened(strange, 100)!r} is no name of a picture")
    return names


def _examples(root: pathlib.Path, name: str) -> list[Example]:
    annotation, picture = root / "Annotations" / f"{name}.xml", root / "JPEGImages" / f"{name}.jpg"
    for file in (annotation, picture):
        if not file.is_file():
            raise MissingFile(f"no file {file}")
    size, objects = read_objects(annotation)
    counted = {target for target, *_, difficult in objects if not difficult}
    try:
        # Their pixels are counted from 1.
        boxes = [(t, half_open((x0 - 1, y0 - 1), (x1 - 1, y1 - 1), size)) for t, (x0, y0), (x1, y1), _ in objects]
    except BadValue as error:
        raise BadValue(f"{annotation}: {error}") from error
    read = in_file(str(picture), size)
    return examples_of(name, size, boxes, read, without={target for target, _ in boxes} - counted)
