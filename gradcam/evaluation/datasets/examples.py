"""Data sets for evaluation: pictures on disk, each with a class and boxes, read one at a time."""

from __future__ import annotations

import os
import pathlib
from collections.abc import Callable
from typing import Any

from gradcam.boxes import Box
from gradcam.evaluation.datasets.coco import coco_examples, instances_file
from gradcam.evaluation.datasets.csv_list import csv_examples
from gradcam.evaluation.datasets.example import Example, unique
from gradcam.evaluation.datasets.ilsvrc import ilsvrc_examples, picture_files
from gradcam.evaluation.datasets.tiny_imagenet import tiny_imagenet_examples
from gradcam.evaluation.datasets.voc import voc_examples, voc_root
from gradcam.pictures import SAMPLES
from slim_models.mistakes import BadValue, MissingFile

SOURCES = (
    "'samples', the folder tiny-imagenet-200 or its zip, a folder of ILSVRC (pictures, or the root of the data), of "
    "PASCAL VOC or of COCO (or its JSON of instances), or a CSV file with the columns path, class and boxes"
)

# By hand: all that is visible of the cat, the cup with its handle but without saucer and spoon, the coat without
# head and cap, the rocket without its tower ('missile' names two of ImageNet's classes, 'projectile' one).
_SAMPLES: tuple[tuple[str, str, Box], ...] = (
    ("chelsea", "tabby", (0, 0, 400, 300)),
    ("coffee", "espresso", (173, 18, 409, 308)),
    ("rocket", "projectile", (311, 127, 334, 407)),
    ("grace_hopper", "military uniform", (11, 312, 512, 600)),
    # Left, columns 125 to 380 of the cat at 4/3 of their size; right, columns 150 to 490 of the coffee.
    ("cat_and_coffee", "tabby", (0, 0, 340, 400)),
    ("cat_and_coffee", "espresso", (363, 18, 599, 308)),
)


def read_examples(source: str | os.PathLike, **options: Any) -> list[Example]:
    """Finds the pictures of a data set, whatever kind it is.

    Args:
        source: `"samples"`, or the path of one of `SOURCES`.
        **options: `annotations` and `labels`, of the readers that take them; None is as good as not given.

    Returns:
        Its pictures, in an order that stays.

    Raises:
        FileNotFoundError: there is nothing at the path, or pictures are missing.
        ValueError: what is at the path is nothing of these, is damaged, or takes no options.
    """
    given = {name: value for name, value in options.items() if value is not None}
    check_data(source)
    path = pathlib.Path(source)
    reader = _reader_of(source, path, given.get("annotations"))
    unknown = [name for name in given if name not in _OPTIONS.get(reader, ())]
    if unknown:
        takers = "a folder of ILSVRC takes both, COCO annotations, and PASCAL VOC labels"
        raise BadValue(f"{source} takes no {' and no '.join(unknown)}: {takers}")
    return reader(path, **given)


def check_data(source: str | os.PathLike) -> None:
    """Whether there is anything at a data set's path, which is quick to say.

    Raises:
        FileNotFoundError: there is nothing.
    """
    if source != "samples" and not pathlib.Path(source).exists():
        raise MissingFile(f"there is nothing at {os.fspath(source)}; data sets are {SOURCES}")


_OPTIONS: dict[Callable[..., list[Example]], tuple[str, ...]] = {
    ilsvrc_examples: ("annotations", "labels"),
    coco_examples: ("annotations",),
    voc_examples: ("labels",),
}


def _reader_of(source: str | os.PathLike, path: pathlib.Path, annotations: Any) -> Callable[..., list[Example]]:
    if source == "samples":
        return lambda _: sample_examples()
    if path.suffix.lower() == ".zip" or (path / "wnids.txt").is_file():
        return tiny_imagenet_examples
    if path.suffix.lower() == ".csv" and path.is_file():
        return csv_examples
    if instances_file(path) or (annotations and pathlib.Path(annotations).suffix.lower() == ".json"):
        return coco_examples
    if voc_root(path):
        return voc_examples
    if any(picture_files(path)):
        return ilsvrc_examples
    raise BadValue(f"{path} is no data set; data sets are {SOURCES}")


def sample_examples() -> list[Example]:
    """The sample photographs, with classes and boxes by hand; the one with two classes comes twice."""
    names = unique(name for name, _, _ in _SAMPLES)
    return [Example(name, target, (box,), SAMPLES[sample]) for name, (sample, target, box) in zip(names, _SAMPLES)]
