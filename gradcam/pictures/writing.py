"""Pictures and arrays that appear whole or not at all, compressed as far as is cheap."""

from __future__ import annotations

import os
import zipfile
from collections.abc import Mapping

import cv2
import numpy as np

from slim_models.files import whole_file
from slim_models.mistakes import BadValue

# Pillow, and OpenCV by default, search for repetitions, which photographs do not have; that takes up to 30 times as
# long and makes a file a twentieth smaller. Here only the frequencies of the values are made use of.
_PNG = [cv2.IMWRITE_PNG_COMPRESSION, 1, cv2.IMWRITE_PNG_STRATEGY, cv2.IMWRITE_PNG_STRATEGY_HUFFMAN_ONLY]
if hasattr(cv2, "IMWRITE_PNG_FILTER"):  # OpenCV 4.11: one filter for all lines, in place of five tried on each
    _PNG += [cv2.IMWRITE_PNG_FILTER, cv2.IMWRITE_PNG_FILTER_AVG]


def write_png(path: str | os.PathLike, image: np.ndarray) -> None:
    """Writes a picture as PNG, compressed as far as is quick.

    Args:
        path: of the file.
        image: uint8 `[H, W, 3]`, RGB.

    Raises:
        ValueError: the array is no such picture.
    """
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or not image.size:
        raise BadValue(f"a picture must be uint8 [H, W, 3], not {image.dtype} {list(image.shape)}")
    _, encoded = cv2.imencode(".png", np.ascontiguousarray(image[..., ::-1]), _PNG)
    with whole_file(path) as temporary:
        temporary.write_bytes(encoded.tobytes())


def write_npz(path: str | os.PathLike, arrays: Mapping[str, np.ndarray]) -> None:
    """Writes arrays as `np.savez_compressed` does, in half the time and 4 % larger: at zlib's level 1."""
    with (
        whole_file(path) as temporary,
        zipfile.ZipFile(temporary, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive,
    ):
        for name, array in arrays.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                np.lib.format.write_array(member, np.asanyarray(array), allow_pickle=False)
