"""Files that appear whole or not at all."""

from __future__ import annotations

import contextlib
import os
import pathlib
import tempfile
from collections.abc import Iterator

import numpy as np
from PIL import Image


@contextlib.contextmanager
def whole_file(path: str | os.PathLike) -> Iterator[pathlib.Path]:
    """A temporary name beside `path` to write to, renamed to `path` when the context ends well.

    Folders on the way are made. If the context raises, nothing is left and what stood at `path` stays.
    """
    path = pathlib.Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".writing-", dir=path.parent) as folder:
        temporary = pathlib.Path(folder) / path.name
        yield temporary
        temporary.replace(path)


def write_png(path: str | os.PathLike, image: np.ndarray) -> None:
    """Writes a picture as PNG.

    Args:
        path: of the file.
        image: uint8 `[H, W, 3]`, RGB.
    """
    with whole_file(path) as temporary:
        Image.fromarray(image).save(temporary, format="PNG")
