"""Dictionaries of arrays as npy files that every NumPy since 1.16 and Python since 3.0 reads.

`numpy.save` would pickle them with what the NumPy at hand calls its functions, which older ones do not
know, and with a copy of every array. Here the few opcodes of the pickle are written one by one, protocol 3,
and the arrays' memory goes straight to the file.
"""

from __future__ import annotations

import pathlib
import struct
from collections.abc import Iterator, Mapping

import numpy as np

_RECONSTRUCT = b"cnumpy.core.multiarray\n_reconstruct\n"
# numpy.core.multiarray._reconstruct(numpy.ndarray, (0,), b"b"), which its state then makes an array.
_EMPTY_ARRAY = _RECONSTRUCT + b"(cnumpy\nndarray\n(K\x00tC\x01btR"


def write_npy(path: pathlib.Path, layers: Mapping[str, Mapping[str, np.ndarray]]) -> None:
    """Writes `{layer: [weights, biases]}`, or `{layer: {name: array}}` for a layer with other arrays.

    Args:
        path: of the file.
        layers: layer -> name -> array of numbers.
    """
    with path.open("wb") as file:
        np.lib.format.write_array_header_1_0(file, {"descr": "|O", "fortran_order": False, "shape": ()})
        file.write(b"\x80\x03" + _EMPTY_ARRAY + b"(K\x01(t" + _dtype("O8", "|") + b"\x89((")
        for layer, arrays in layers.items():
            file.write(_text(layer))
            if arrays.keys() == {"weights", "biases"}:
                file.write(b"(")
                file.writelines(part for name in ("weights", "biases") for part in _array(arrays[name]))
                file.write(b"l")
            else:
                file.write(b"(")
                file.writelines(part for name, array in arrays.items() for part in (_text(name), *_array(array)))
                file.write(b"d")
        file.write(b"dltb.")  # the dictionary, the list that an array of objects is, its state


def _array(array: np.ndarray) -> Iterator[bytes | memoryview]:
    array = np.ascontiguousarray(array).reshape(np.shape(array))
    order = "|" if array.dtype.itemsize == 1 else array.dtype.str[0]
    shape = b"(" + b"".join(map(_number, array.shape)) + b"t"
    yield _EMPTY_ARRAY + b"(K\x01" + shape + _dtype(array.dtype.str[1:], order) + b"\x89"
    yield b"B" + struct.pack("<I", array.nbytes)
    yield array.reshape(-1).view(np.uint8).data if array.nbytes else b""
    yield b"tb"


def _dtype(kind: str, order: str) -> bytes:
    """numpy.dtype(kind, False, True) and its state: version 3, the byte order, and nothing of records."""
    flags = 63 if kind == "O8" else 0
    made = b"cnumpy\ndtype\n(" + _text(kind) + b"\x89\x88tR"
    return made + b"(K\x03" + _text(order) + b"NNN" + _number(-1) * 2 + _number(flags) + b"tb"


def _text(text: str) -> bytes:
    content = text.encode()
    return b"X" + struct.pack("<I", len(content)) + content


def _number(number: int) -> bytes:
    return b"J" + struct.pack("<i", number)
