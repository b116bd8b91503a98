"""ILSVRC's boxes: an XML file a picture, as PASCAL VOC writes them."""

from __future__ import annotations

import pathlib
from xml.etree import ElementTree

from gradcam.ilsvrc_lists import Annotation, the_class
from gradcam.labelled import half_open


def read_xml(path: pathlib.Path) -> Annotation:
    """Reads the objects of one picture, of one class.

    Args:
        path: of the file, which has the picture's name (`filename` in it does not always).

    Returns:
        The class of all objects, their boxes, and the picture's size.

    Raises:
        ValueError: the file is broken, lacks something, or has no objects or several classes.
    """
    try:
        root = ElementTree.parse(path).getroot()
        size = (int(_text(root, "size/width")), int(_text(root, "size/height")))
        objects = [(_text(item, "name"), _sides(item)) for item in root.iter("object")]
        boxes = tuple(half_open((x0, y0), (x1, y1), size) for _, (x0, y0, x1, y1) in objects)
    except (ElementTree.ParseError, ValueError) as error:
        raise ValueError(f"{path} cannot be read: {error}") from error
    return Annotation(the_class([name for name, _ in objects], str(path)), boxes, size)


def _sides(item: ElementTree.Element) -> list[float]:
    return [float(_text(item, f"bndbox/{side}")) for side in ("xmin", "ymin", "xmax", "ymax")]


def _text(item: ElementTree.Element, tag: str) -> str:
    text = item.findtext(tag, "").strip()
    if not text:
        raise ValueError(f"<{item.tag}> has no {tag}")
    return text
