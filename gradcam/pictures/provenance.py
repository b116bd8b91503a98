"""What a file was made of, written into the file itself and read back."""

from __future__ import annotations

import hashlib
import json
import math
import os
import pathlib
import zipfile
from collections.abc import Mapping
from typing import Any

import numpy as np
from PIL import Image

from gradcam.pictures import arrays
from gradcam.pictures.photograph import heatmap_at, read_photograph
from slim_models.mistakes import BadValue, MissingFile, Mistake
from slim_models.sizes import height_and_width

MOST_PIXELS = 2**28  # of any photograph that Pillow would open
DESCRIPTION = 0x010E  # the EXIF tag ImageDescription, which has it in a JPEG or WebP
KEY = "provenance"  # of a PNG's text, of an npz's array and of a JSON's entry


def as_text(provenance: Mapping[str, Any]) -> str:
    """As a file holds it: JSON in ASCII."""
    return json.dumps(provenance)


def read_provenance(path: str | os.PathLike) -> dict[str, Any]:
    """What a file of `gradcam explain` was made of.

        read_provenance("out/cat.tabby.overlay.png")["weights"]

    Args:
        path: of a PNG, JPEG, WebP, npz or JSON file.

    Returns:
        `network`, `weights` (the first 16 digits of a SHA-256, `slim_models.fingerprint`), `preprocessing`,
        `precision`, `layer`, `method`, `target`, `class`, `source`, `source_sha256`, `fit`, `versions` and so on.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it does not say.
    """
    path = pathlib.Path(path)
    if not path.is_file():
        raise MissingFile(f"no file at {path}")
    try:
        found = json.loads(_text(path))
    except Exception as error:  # of a damaged file nearly anything
        raise BadValue(f"{path} does not say what it was made of") from error
    if not isinstance(found, dict):
        raise BadValue(f"{path} does not say what it was made of")
    return found


def _text(path: pathlib.Path) -> str:
    """The JSON in a file; whatever is raised, there is none."""
    suffix = path.suffix.lower()
    if suffix == ".json":
        return json.dumps(json.loads(path.read_text(encoding="utf-8"))[KEY])
    if suffix == ".npz":
        with zipfile.ZipFile(path) as archive, archive.open(f"{KEY}.npy") as member:
            return str(np.lib.format.read_array(member, allow_pickle=False))
    with Image.open(path, formats=("PNG", "JPEG", "WEBP")) as image:  # its pixels are not decoded
        return image.info[KEY] if image.format == "PNG" else image.getexif()[DESCRIPTION]


def read_heatmap(path: str | os.PathLike) -> np.ndarray:
    """The heat map at the picture's own size and place, made again of the `cam` in an npz of `gradcam explain`.

    Args:
        path: of the npz.

    Returns:
        float32 `[H, W]` in [0, 1], as of `Photograph.heatmap`.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is none of those.
    """
    from slim_models.weights import read_npz  # brings h5py, which nothing else of pictures needs

    made = read_provenance(path)
    if pathlib.Path(path).suffix.lower() != ".npz" or not {"size", "fit"} <= made.keys():
        raise BadValue(f"{path} is no npz of gradcam explain")
    arrays_in_it, size = read_npz(pathlib.Path(path)), made["size"]
    try:
        cam = arrays_in_it["cam"]
        if math.prod(height_and_width(size)) > MOST_PIXELS:
            raise BadValue(f"a picture of {size} is none")
        return heatmap_at(cam, size, made["fit"])
    except (Mistake, TypeError, KeyError, ValueError) as error:
        raise BadValue(f"{path} is no npz of gradcam explain: {error}") from error


def source_of(source: str) -> dict[str, Any]:
    """Which picture a source is, however it is called: `source`, its `source_sha256` and, in an npy file of several,
    its `source_number`.

    Args:
        source: as of `read_photograph`.

    Returns:
        The hash is that of the file, of a sample that of its pixels.

    Raises:
        FileNotFoundError: there is no such file.
        KeyError: no such sample.
    """
    if source.startswith("sample:"):
        return {"source": source, "source_sha256": hashlib.sha256(read_photograph(source).pixels.tobytes()).hexdigest()}
    path, number = arrays.parts(source)
    if not pathlib.Path(path).is_file():
        raise MissingFile(f"no picture at {path}")
    found = hashlib.sha256()
    with pathlib.Path(path).open("rb") as file:
        while part := file.read(2**20):
            found.update(part)
    return {
        "source": source,
        "source_sha256": found.hexdigest(),
        **({} if number is None else {"source_number": number}),
    }
