"""COCO's pictures with objects of several classes, from its JSON of instances."""

from __future__ import annotations

import functools
import math
import os
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import cv2
import numpy as np

from gradcam.boxes import Box, area
from gradcam.evaluation.datasets.example import Example
from gradcam.evaluation.datasets.reading import in_file
from gradcam.evaluation.datasets.several import examples_of
from gradcam.pictures import MOST_PIXELS
from slim_models.files import parsed_json
from slim_models.mistakes import BadValue, MissingFile

Item = Mapping[str, Any]


def instances_file(path: pathlib.Path) -> pathlib.Path | None:
    """COCO's JSON of instances: the path itself, or the one of validation, or else the only one, below a folder."""
    if path.suffix.lower() == ".json" and path.is_file():
        return path
    found = sorted((path / "annotations").glob("instances_*.json")) if path.is_dir() else []
    validation = [file for file in found if file.stem.startswith("instances_val")]
    return next((files[0] for files in (validation, found) if len(files) == 1), None)


def coco_examples(path: str | os.PathLike, annotations: str | os.PathLike | None = None) -> list[Example]:
    """Finds COCO's pictures, and of each an example for every class that it shows, with its boxes and pixels.

    Boxes without an area, of which COCO has a few, are left out, and pictures without objects.

    Args:
        path: the root of the data, with `annotations/instances_val2014.json` and the pictures in `val2014` or in
            `images/val2014`; a JSON of instances; or, with `annotations`, the folder of the pictures.
        annotations: the JSON, where it lies elsewhere.

    Returns:
        The examples in order of the pictures' numbers; a class is COCO's own name, `"person"`.

    Raises:
        FileNotFoundError: there is no such file, or its pictures are nowhere.
        ValueError: the file is broken.
    """
    path = pathlib.Path(path)
    file = instances_file(pathlib.Path(annotations) if annotations else path)
    if file is None:
        raise MissingFile(f"no JSON of COCO's instances at {annotations or path}")
    content = parsed_json(file.read_bytes(), str(file))
    try:
        classes = {int(item["id"]): str(item["name"]) for item in content["categories"]}
        objects: dict[int, list[Item]] = {int(item["id"]): [] for item in content["images"]}
        for item in content["annotations"]:
            objects[int(item["image_id"])].append(item)
        images = sorted(content["images"], key=lambda item: int(item["id"]))
        folder = _folder(path, file, [str(item["file_name"]) for item in images])
        return [one for item in images for one in _examples(file, folder, item, objects[int(item["id"])], classes)]
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        if isinstance(error, BadValue):
            raise BadValue(f"{file}: {error}") from error
        said = f"no {error}" if isinstance(error, KeyError) else error
        expected = "COCO's JSON of instances, with images, annotations and categories"
        raise BadValue(f"{file} is not {expected}: {said}") from error


def _folder(path: pathlib.Path, file: pathlib.Path, names: Sequence[str]) -> pathlib.Path:
    """The folder in which the first picture is."""
    if not names:
        raise BadValue("it lists no pictures")
    split = file.stem.removeprefix("instances_")
    roots = dict.fromkeys([*([path] if path.is_dir() else []), file.parent.parent, file.parent])
    places = [root / place for root in roots for place in (".", split, f"images/{split}", "images")]
    found = next((place for place in places if (place / names[0]).is_file()), None)
    if found is None:
        raise MissingFile(f"{file}: no picture {names[0]}; looked in {', '.join(map(str, places))}")
    return found


def _examples(
    file: pathlib.Path, folder: pathlib.Path, image: Item, objects: Sequence[Item], classes: Mapping[int, str]
) -> list[Example]:
    name, size = str(image["file_name"]), (int(image["width"]), int(image["height"]))
    if min(size) < 1 or math.prod(size) > MOST_PIXELS:
        raise BadValue(f"the picture {name} has {size[0]} x {size[1]} pixels, which no picture can have")
    found = [(classes[int(item["category_id"])], _box(item["bbox"], size), item) for item in objects]
    found = [(target, box, item) for target, box, item in found if area(box) > 0]
    outlines: dict[str, list[Any]] = {}
    for target, _, item in found:
        outlines.setdefault(target, []).append(item["segmentation"])
    masks = {target: functools.partial(_mask, f"{file}: {name}", those, size) for target, those in outlines.items()}
    boxes = [(target, box) for target, box, _ in found]
    return examples_of(name, size, boxes, in_file(str(folder / name), size), masks=masks)


def _box(sides: Sequence[float], size: tuple[int, int]) -> Box:
    x, y, width, height = map(float, sides)
    if not np.isfinite([x, y, width, height]).all():
        raise BadValue(f"the box {sides} is not finite")
    return max(x, 0.0), max(y, 0.0), max(x, 0.0, min(x + width, size[0])), max(y, 0.0, min(y + height, size[1]))


def _mask(name: str, outlines: Sequence[Any], size: tuple[int, int]) -> np.ndarray:
    """The pixels within polygons, whose edges OpenCV draws, or of run lengths, column by column: bool `[H, W]`."""
    width, height = size
    mask = np.zeros((height, width), np.uint8)
    try:
        for outline in outlines:
            if isinstance(outline, Mapping):
                mask |= _unrolled(outline["counts"], size)
                continue
            polygons = [np.rint(np.reshape(polygon, (-1, 2))).astype(np.int32) for polygon in outline]
            cv2.fillPoly(mask, polygons, 1)
    except (KeyError, TypeError, ValueError, cv2.error) as error:
        raise BadValue(f"{name}: an outline is neither polygons nor run lengths: {error}") from error
    return mask > 0


def _unrolled(counts: Sequence[int], size: tuple[int, int]) -> np.ndarray:
    """Run lengths of 0 and 1 in turns -> uint8 `[H, W]`."""
    if isinstance(counts, str):
        raise BadValue("its run lengths are compressed")
    if sum(counts) != size[0] * size[1]:
        raise BadValue(f"its run lengths add up to {sum(counts)}, not to {size[0]} x {size[1]}")
    values = np.arange(len(counts)) % 2
    return np.repeat(values, counts).reshape(size).T.astype(np.uint8)
