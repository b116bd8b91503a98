"""Pictures that appear whole or not at all."""

from __future__ import annotations

import os

import numpy as np
from PIL import Image

from slim_models.writing import whole_file


def write_png(path: str | os.PathLike, image: np.ndarray) -> None:
    """Writes a picture as PNG.

    Args:
        path: of the file.
        image: uint8 `[H, W, 3]`, RGB.
    """
    with whole_file(path) as temporary:
        Image.fromarray(image).save(temporary, format="PNG")
