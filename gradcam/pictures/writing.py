"""Pictures, arrays and numbers that appear whole or not at all, compressed as far as is cheap."""

from __future__ import annotations

import json
import math
import os
import pathlib
import zipfile
from collections.abc import Mapping
from typing import Any

import numpy as np
from PIL import Image

from gradcam.pictures.png import png
from gradcam.pictures.provenance import DESCRIPTION, KEY, as_text
from slim_models.files import whole_file
from slim_models.mistakes import BadValue

FORMATS = {"png": "PNG", "jpg": "JPEG", "webp": "WEBP"}  # suffix -> Pillow's word
_QUALITY = 92  # of JPEG and WebP, of 100
_MOST_PIXELS = {"JPEG": 65500, "WEBP": 16383}  # a side


def write_picture(path: str | os.PathLike, image: np.ndarray, provenance: Mapping[str, Any] | None = None) -> None:
    """Writes a picture as PNG, JPEG or WebP, which its suffix says; arguments and errors as of `write_png`."""
    form = FORMATS.get(pathlib.Path(path).suffix.lower().lstrip("."))
    if form == "PNG":
        return write_png(path, image, provenance)
    if form is None:
        raise BadValue(f"a picture cannot be written as {os.fspath(path)!r}; its suffix can be {', '.join(FORMATS)}")
    _check_picture(image)
    if max(image.shape) > _MOST_PIXELS[form]:
        sides = f"{image.shape[1]} x {image.shape[0]}"
        raise BadValue(f"{form} has no pictures of {sides}: at most {_MOST_PIXELS[form]} pixels a side")
    exif = Image.Exif()
    if provenance is not None:
        exif[DESCRIPTION] = as_text(provenance)
    with whole_file(path) as temporary:
        Image.fromarray(image).save(temporary, form, quality=_QUALITY, exif=exif)
    return None


def write_png(path: str | os.PathLike, image: np.ndarray, provenance: Mapping[str, Any] | None = None) -> None:
    """Writes a picture as PNG, compressed as far as is quick.

    Args:
        path: of the file.
        image: uint8 `[H, W, 3]`, RGB.
        provenance: what it was made of, for `read_provenance`.

    Raises:
        ValueError: the array is no such picture.
    """
    _check_picture(image)
    texts = {} if provenance is None else {KEY: as_text(provenance)}
    with whole_file(path) as temporary, temporary.open("wb") as file:
        file.writelines(png(image, texts))


def png_bytes(image: np.ndarray) -> bytes:
    """A picture as PNG in memory; arguments and errors as of `write_png`."""
    _check_picture(image)
    return b"".join(png(image, {}))


def _check_picture(image: np.ndarray) -> None:
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or not image.size:
        raise BadValue(f"a picture must be uint8 [H, W, 3], not {image.dtype} {list(image.shape)}")


def write_npz(
    path: str | os.PathLike, arrays: Mapping[str, np.ndarray], provenance: Mapping[str, Any] | None = None
) -> None:
    """Writes arrays as `np.savez_compressed` does, in half the time and 4 % larger: at zlib's level 1.

    Args:
        path: of the file.
        arrays: by name; none of objects.
        provenance: what they were made of, for `read_provenance`: one more array, of a text.
    """
    said = {} if provenance is None else {KEY: np.array(as_text(provenance))}
    with (
        whole_file(path) as temporary,
        zipfile.ZipFile(temporary, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive,
    ):
        for name, array in {**arrays, **said}.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                np.lib.format.write_array(member, np.asanyarray(array), allow_pickle=False)


def write_json(path: str | os.PathLike, numbers: Mapping[str, Any]) -> None:
    """Writes numbers as JSON: to six digits, and null for what is not defined.

    Args:
        path: of the file.
        numbers: what JSON can hold, and NumPy arrays and numbers.
    """
    with whole_file(path) as temporary:
        temporary.write_text(json.dumps(plain(numbers), indent=1, allow_nan=False) + "\n", encoding="utf-8")


def plain(value: Any) -> Any:
    """NumPy's arrays and numbers as JSON has them: to six digits, and None for what is not finite."""
    if isinstance(value, Mapping):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, np.ndarray)):
        return [plain(item) for item in value]
    value = value.item() if isinstance(value, np.generic) else value
    if isinstance(value, float):
        return float(f"{value:.6g}") if math.isfinite(value) else None
    return value
