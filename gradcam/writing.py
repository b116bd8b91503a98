"""Pictures and arrays that appear whole or not at all, compressed as far as is cheap."""

from __future__ import annotations

import os
import struct
import zipfile
import zlib
from collections.abc import Mapping

import numpy as np

from slim_models.writing import whole_file


def write_png(path: str | os.PathLike, image: np.ndarray) -> None:
    """Writes a picture as PNG, a tenth as long as Pillow takes at its default, and about as small.

    Pillow tries five filters on every line and searches for repetitions that photographs do not have. Here
    every line has the filter `Average`, and of repetitions only runs are looked for.

    Args:
        path: of the file.
        image: uint8 `[H, W, 3]`, RGB.

    Raises:
        ValueError: the array is no such picture.
    """
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or not image.size:
        raise ValueError(f"a picture must be uint8 [H, W, 3], not {image.dtype} {list(image.shape)}")
    height, width = image.shape[:2]
    compressor = zlib.compressobj(1, zlib.DEFLATED, zlib.MAX_WBITS, zlib.DEF_MEM_LEVEL, zlib.Z_RLE)
    data = compressor.compress(_filtered(image).data) + compressor.flush()
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)  # 8 bits, RGB, not interlaced
    with whole_file(path) as temporary, temporary.open("wb") as file:
        file.write(b"\x89PNG\r\n\x1a\n")
        for kind, content in ((b"IHDR", header), (b"IDAT", data), (b"IEND", b"")):
            checksum = zlib.crc32(content, zlib.crc32(kind))
            file.write(struct.pack(">I", len(content)) + kind + content + struct.pack(">I", checksum))


def _filtered(image: np.ndarray) -> np.ndarray:
    """Lines of a PNG: the filter's number, then each value less the mean of those to the left and above.

    ISO/IEC 15948 (PNG), clause 9.2, filter 3: modulo 256, the mean rounded down, zero outside the picture.
    """
    height, width = image.shape[:2]
    values = image.reshape(height, 3 * width)
    left, above = np.zeros_like(values), np.zeros_like(values)
    left[:, 3:] = values[:, :-3]
    above[1:] = values[:-1]
    lines = np.full((height, 1 + 3 * width), 3, np.uint8)
    mean = (left & above) + ((left ^ above) >> 1)  # without the ninth bit that a sum would need
    np.subtract(values, mean, out=lines[:, 1:])
    return lines


def write_npz(path: str | os.PathLike, arrays: Mapping[str, np.ndarray]) -> None:
    """Writes arrays as `np.savez_compressed` does, in half the time and 4 % larger: at zlib's level 1."""
    with (
        whole_file(path) as temporary,
        zipfile.ZipFile(temporary, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive,
    ):
        for name, array in arrays.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                np.lib.format.write_array(member, np.asanyarray(array), allow_pickle=False)
