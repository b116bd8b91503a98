"""ILSVRC's pictures for classification and localization (CLS-LOC, 2012 to 2017), with classes and boxes."""

from __future__ import annotations

import functools
import os
import pathlib
import re
from collections.abc import Iterable, Iterator, Mapping

import numpy as np

from gradcam import images
from gradcam.datasets import decode
from gradcam.ilsvrc_lists import FORMATS, Annotation, read_list
from gradcam.ilsvrc_xml import read_xml
from gradcam.labelled import Example

# Where the data lies below its root, as its archives, Kaggle's and the devkits' are unpacked.
PICTURES = (".", "Data/CLS-LOC/val", "ILSVRC/Data/CLS-LOC/val", "ILSVRC2012_img_val", "val")
XML = (".", "val", "Annotations/CLS-LOC/val", "ILSVRC/Annotations/CLS-LOC/val", "ILSVRC2012_bbox_val_v3/val")
LISTS = ("LOC_val_solution.csv", "val.txt", "*devkit*/data/ILSVRC20*_validation_ground_truth.txt")

_WNID = re.compile(r"n\d{8}")


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
        raise FileNotFoundError(f"no pictures of ILSVRC in {root}; looked in {', '.join(PICTURES)} there")
    if annotations is None:
        annotations = next((root / place for place in XML if any(_files(root / place, (".xml",)))), None)
    if annotations is None and labels is None:
        labels = next((path for place in LISTS for path in sorted(root.glob(place))), None)
    boxed, listed = ({} if path is None else _read(pathlib.Path(path), files) for path in (annotations, labels))
    folders = {name: Annotation(path.parent.name) for name, path in files.items() if _WNID.fullmatch(path.parent.name)}
    others = {**folders, **boxed}
    _check_agreement({name: (others[name].target, listed[name].target) for name in others.keys() & listed.keys()})
    known = {**folders, **listed, **boxed}
    unknown = [name for name in files if name not in known]
    if unknown:
        found = f"no class for {len(unknown)} of {len(files)} pictures in {root}, the first being {unknown[0]}"
        raise ValueError(f"{found}: give annotations (a folder of XML files) or labels ({FORMATS})")
    return [_example(path, known[name]) for name, path in files.items()]


def picture_files(root: pathlib.Path) -> list[pathlib.Path]:
    """The pictures of ILSVRC in a folder, or else in the first of `PICTURES` below it that has some."""
    for place in PICTURES:
        found = list(_files(root / place, images.SUFFIXES))
        if found:
            return found
    return []


def _files(folder: pathlib.Path, suffixes: tuple[str, ...]) -> Iterator[pathlib.Path]:
    """Files of some kinds in a folder, and in those of its folders that are named after a class."""
    for path in folder.iterdir() if folder.is_dir() else ():
        if _WNID.fullmatch(path.name) and path.is_dir():
            yield from _files(path, suffixes)
        elif path.suffix.lower() in suffixes and not path.name.startswith("."):  # as macOS's ._a.JPEG
            yield path


def _by_stem(paths: Iterable[pathlib.Path]) -> dict[str, pathlib.Path]:
    """Name without suffix -> file, in order of the names."""
    result: dict[str, pathlib.Path] = {}
    for path in sorted(paths, key=lambda path: (path.stem, path)):
        if path.stem in result:
            raise ValueError(f"two files have the name {path.stem}: {result[path.stem]} and {path}")
        result[path.stem] = path
    return result


def _read(path: pathlib.Path, pictures: Mapping[str, pathlib.Path]) -> dict[str, Annotation]:
    """A list or a folder of XML files -> what it says of every picture, by name."""
    if not path.is_dir():
        return read_list(path, list(pictures))
    found = _by_stem(_files(path, (".xml",)))
    if not found:
        raise FileNotFoundError(f"no XML files in {path}")
    return {name: read_xml(found[name]) for name in pictures if name in found}


def _check_agreement(targets: Mapping[str, tuple[str, str]]) -> None:
    """Fails where annotations and labels cannot both be right: then they are of different data, or misread."""
    for name, (boxed, listed) in sorted(targets.items()):
        if boxed != listed:
            raise ValueError(f"{name} is {boxed} by its annotations or its folder, and {listed} by the labels")


def _example(path: pathlib.Path, annotation: Annotation) -> Example:
    read = functools.partial(_picture, path, annotation.size)
    return Example(path.stem, annotation.target, annotation.boxes, read)


def _picture(path: pathlib.Path, size: tuple[int, int] | None) -> np.ndarray:
    pixels = images.read_image(path)
    if size and pixels.shape[1::-1] != size:
        pixels = decode(path.read_bytes())  # boxes may be drawn on the picture as stored, before EXIF turns it
    if size and pixels.shape[1::-1] != size:
        shape = f"{pixels.shape[1]} x {pixels.shape[0]}"
        raise ValueError(f"{path} has {shape} pixels, but its boxes are for {size[0]} x {size[1]}")
    return pixels
