"""Pictures -> PNG files, a few rows at a time: neither the filtered nor the packed picture is ever whole.

The format: "Portable Network Graphics (PNG) Specification", third edition, W3C 2025.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator, Mapping

import numpy as np

from gradcam.maps import strips

_RGB, _AVERAGE = 2, 3  # the type of colour, and the filter
_AT_ONCE = 2**17  # pixels


def png(image: np.ndarray, texts: Mapping[str, str]) -> Iterator[bytes]:
    """The parts of a PNG file, compressed as far as is quick.

    Args:
        image: uint8 `[H, W, 3]`, RGB.
        texts: keyword -> text in ASCII, written before the pixels.
    """
    height, width = image.shape[:2]
    yield b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, _RGB, 0, 0, 0))
    for key, text in texts.items():
        yield _chunk(b"tEXt", key.encode("ascii") + b"\0" + text.encode("ascii"))
    # Photographs have no repetitions: to search for them takes up to 30 times as long, and makes a file a twentieth
    # smaller. Here only the frequencies of the values are made use of.
    packer = zlib.compressobj(1, zlib.DEFLATED, zlib.MAX_WBITS, zlib.DEF_MEM_LEVEL, zlib.Z_HUFFMAN_ONLY)
    above = np.zeros((1, 3 * width), np.uint8)
    for rows in strips(height, width, _AT_ONCE):
        lines = np.ascontiguousarray(image[rows]).reshape(-1, 3 * width)
        yield from _data(packer.compress(_filtered(lines, above).data))
        above = lines[-1:]
    yield from _data(packer.flush())
    yield _chunk(b"IEND", b"")


def _filtered(lines: np.ndarray, above: np.ndarray) -> np.ndarray:
    """Lines less the mean of what is left of and above each value, rounded down; the filter's number before each.

    Args:
        lines: uint8 `[n, 3 * width]`.
        above: the line before them, `[1, 3 * width]`.
    """
    result = np.empty((len(lines), lines.shape[1] + 1), np.uint8)
    result[:, 0] = _AVERAGE
    left = np.zeros_like(lines)
    left[:, 3:] = lines[:, :-3]
    above = np.concatenate([above, lines[:-1]])
    mean = (left & above) + ((left ^ above) >> 1)  # which never leaves eight bits
    np.subtract(lines, mean, out=result[:, 1:])
    return result


def _data(packed: bytes) -> Iterator[bytes]:
    if packed:  # the packer keeps a little back
        yield _chunk(b"IDAT", packed)


def _chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(content, zlib.crc32(kind)))
