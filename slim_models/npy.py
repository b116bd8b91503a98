"""Pickled dictionaries of arrays, as `vgg16.npy` is one, read without trusting the file."""

from __future__ import annotations

import pathlib
import pickle
from typing import IO, Any, Literal

import numpy as np


def read_npy(path: pathlib.Path) -> dict[str, Any]:
    """Reads `{layer: [weights, biases]}` or `{layer: {name: array}}` from an npy file.

    Args:
        path: the file; it may have been written by Python 2.

    Returns:
        `layer/name` -> array; `layer/weights` and `layer/biases` for a pair.

    Raises:
        ValueError: the file is no npy dictionary, is damaged, or names anything but arrays. Nothing
            of it has been executed.
    """
    with path.open("rb") as file:
        layers = _unpickled(file, path)
    if not isinstance(layers, dict):
        raise ValueError(f"{path} holds {type(layers).__name__}, not a dictionary of layers")
    weights = {}
    for layer, arrays in layers.items():
        if isinstance(arrays, (list, tuple)) and len(arrays) == 2:
            arrays = dict(zip(("weights", "biases"), arrays))
        if not isinstance(arrays, dict):
            raise ValueError(f"{path}: layer {layer!r} is not [weights, biases] but {type(arrays).__name__}")
        weights.update({f"{layer}/{name}": array for name, array in arrays.items()})
    return weights


def _unpickled(file: IO[bytes], path: pathlib.Path) -> Any:
    """The object in an npy file."""
    try:
        version = np.lib.format.read_magic(file)
        read_header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        _, _, dtype = read_header(file)
    except ValueError as error:
        file.seek(0)
        raise ValueError(f"{path} is not an npy file; it begins with {file.read(16)!r}") from error
    if not dtype.hasobject:
        raise ValueError(f"{path} holds one array, not a dictionary of layers")
    try:
        array = _ArraysUnpickler(file, encoding="latin1").load()
    except _DAMAGE as error:
        raise ValueError(f"{path} cannot be read as a dictionary of arrays: {error}") from error
    return array.item() if isinstance(array, np.ndarray) and array.ndim == 0 else array


# What unpickling a damaged or a malicious stream may raise.
_DAMAGE = (pickle.UnpicklingError, EOFError, ValueError, TypeError, LookupError, AttributeError, OverflowError)


class _ArraysUnpickler(pickle.Unpickler):
    """Admits the names that a dictionary of arrays needs, and no others.

    A name stands for a function made here, so that a file cannot reach into NumPy's modules.
    """

    def find_class(self, module: str, name: str) -> Any:
        admitted = {
            ("numpy.core.multiarray", "_reconstruct"): lambda *_: np.ndarray((0,), np.int8),
            ("numpy.core.numeric", "_frombuffer"): _from_buffer,  # pickle protocol 5
            ("numpy", "ndarray"): None,  # only ever the first argument of _reconstruct
            ("numpy", "dtype"): lambda kind, *_: np.dtype(kind, False, True),  # a copy: its byte order is set next
            ("_codecs", "encode"): lambda text, _: text.encode("latin1"),  # bytes under pickle protocol 2
        }
        key = (module.replace("numpy._core.", "numpy.core."), name)  # NumPy 2 writes the former
        if key not in admitted:
            raise pickle.UnpicklingError(f"it names {module}.{name}, which is no array of numbers; refused")
        return admitted[key]


def _from_buffer(buffer: bytes, dtype: np.dtype, shape: tuple[int, ...], order: Literal["C", "F"]) -> np.ndarray:
    return np.frombuffer(buffer, dtype).reshape(shape, order=order)
