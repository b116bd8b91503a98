"""Pickled dictionaries of arrays, as `vgg16.npy` is one, read without trusting the file."""

from __future__ import annotations

import os
import pathlib
import pickle
import pickletools
import re
import struct
from collections.abc import Iterator, Mapping
from typing import IO, Any

import numpy as np

from slim_models.memory import aligned_bytes, freeze
from slim_models.mistakes import BadValue
from slim_models.weights.opcodes import check_opcodes

_LONG = 2**16  # bytes; what is shorter is no array worth keeping where it is read to
_RECONSTRUCT = b"cnumpy.core.multiarray\n_reconstruct\n"
# numpy.core.multiarray._reconstruct(numpy.ndarray, (0,), b"b"), which its state then makes an array.
_EMPTY_ARRAY = _RECONSTRUCT + b"(cnumpy\nndarray\n(K\x00tC\x01btR"


def read_npy(path: pathlib.Path) -> dict[str, Any]:
    """Reads `{layer: [weights, biases]}` or `{layer: {name: array}}` from an npy file.

    Args:
        path: the file; it may have been written by Python 2.

    Returns:
        `layer/name` -> array; `layer/weights` and `layer/biases` for a pair. Arrays are read-only.

    Raises:
        ValueError: the file is no dictionary, or not one of arrays alone; `pickle` and NumPy raise nearly
            anything for a damaged one. Nothing of it has been executed.
    """
    with path.open("rb") as file:
        layers = _unpickled(file)
    if not isinstance(layers, dict):
        raise BadValue(f"it holds {type(layers).__name__}, not a dictionary of layers")
    weights = {}
    for layer, arrays in layers.items():
        if isinstance(arrays, (list, tuple)) and len(arrays) == 2:
            arrays = dict(zip(("weights", "biases"), arrays))
        if not isinstance(arrays, dict):
            raise BadValue(f"layer {layer!r} is not [weights, biases] but {type(arrays).__name__}")
        weights.update({f"{layer}/{name}": array for name, array in arrays.items()})
    return weights


class _Scanned:
    """A file whose opcodes are walked through: what is long is passed over, and claims no more than is there."""

    def __init__(self, file: IO[bytes]):
        self._file, self.readline, self.tell = file, file.readline, file.tell

    def read(self, size: int) -> Any:
        _check_left(self._file, size)
        if size < _LONG:
            return self._file.read(size)
        self._file.seek(size, os.SEEK_CUR)
        return np.zeros(size, np.uint8).view(_Passed)


class _Passed(np.ndarray):
    """Stands for so many bytes, which are zeros that nobody looks at."""

    def decode(self, _: str) -> str:
        """Python 2's strings are decoded by who walks through them."""
        return ""


def _check_left(file: IO[bytes], size: int) -> None:
    if size > os.fstat(file.fileno()).st_size - file.tell():
        raise EOFError("it ends in the middle of an object: truncated")


class _BigReads:
    """A file whose long reads go to aligned memory, which a variable can take over without a copy.

    The unpickler reads the bytes of an array into an object that it has made, at an address that cannot be
    chosen; that object is left untouched (so it takes no memory) and what it should hold is in `contents`.

    Attributes:
        contents: address of the untouched object -> uint8 `[size]`.
    """

    def __init__(self, file: IO[bytes]):
        self._file = file
        self.readline = file.readline
        self.contents: dict[int, np.ndarray] = {}
        self._taken: set[int] = set()

    def read(self, size: int) -> bytes:
        _check_left(self._file, size)
        return self._file.read(size)

    def readinto(self, buffer: Any) -> int:
        _check_left(self._file, len(buffer))
        if len(buffer) < _LONG:
            return self._file.readinto(buffer)  # type: ignore[attr-defined]
        content = aligned_bytes(len(buffer))
        count = self._file.readinto(content)  # type: ignore[attr-defined]
        self.contents[_address(buffer)] = freeze(content)
        self._taken.discard(_address(buffer))  # what was read to that address before is gone
        return count

    def content(self, untouched: Any) -> Any:
        """What an object that the unpickler has read holds.

        Raises:
            ValueError: it is asked for a second time.
        """
        address = _address(untouched)
        if len(untouched) < _LONG:
            return untouched
        if address in self._taken:
            raise BadValue("two of its arrays share their numbers")
        if address in self.contents:
            self._taken.add(address)
        return self.contents.pop(address, untouched)


def _address(buffer: Any) -> int:
    return np.frombuffer(buffer, np.uint8).ctypes.data if len(buffer) else 0


def read_header(file: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype]:
    """What an npy file says of its array: shape, whether columns come first, type."""
    version = np.lib.format.read_magic(file)
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    return read(file)


def _unpickled(file: IO[bytes]) -> Any:
    """The object in an npy file."""
    _, _, dtype = read_header(file)
    if not dtype.hasobject:
        raise BadValue("it holds one array, not a dictionary of layers")
    start = file.tell()
    check_opcodes(pickletools.genops(_Scanned(file)))  # type: ignore[arg-type]
    file.seek(start)
    reads = _BigReads(file)
    # As bytes, Python 2's strings are what arrays are made of; as text they would be there twice.
    result = _plain(_ArraysUnpickler(reads).load(), {})
    if reads.contents:
        raise BadValue("it holds long strings of bytes that belong to no array")
    return result


class _ArraysUnpickler(pickle.Unpickler):
    """Admits the names that a dictionary of arrays needs, and no others.

    Each name stands for a record of this module: NumPy's own dtype and ndarray take their state from
    the pickle unchecked, so that a crafted one could make them read memory through made-up pointers.
    """

    def __init__(self, file: _BigReads):
        super().__init__(file, encoding="bytes")
        self._file = file

    def find_class(self, module: str, name: str) -> Any:
        admitted = {
            ("numpy.core.multiarray", "_reconstruct"): lambda *_: _Array(self._file),
            ("numpy.core.numeric", "_frombuffer"): lambda *state: _Array(self._file, *state),  # pickle protocol 5
            ("numpy", "ndarray"): None,  # only ever the first argument of _reconstruct
            ("numpy", "dtype"): lambda kind, *_: _Dtype(kind),
            ("_codecs", "encode"): lambda text, _: text.encode("latin1"),  # bytes under pickle protocol 2
        }
        key = (module.replace("numpy._core.", "numpy.core."), name)  # NumPy 2 writes the former
        if key not in admitted:
            raise pickle.UnpicklingError(f"it names {module}.{name}, which is no array of numbers; refused")
        return admitted[key]


class _Dtype:
    """What a pickle says of a `numpy.dtype`: its kind, its size and, in its state, its byte order."""

    def __init__(self, word: str | bytes):
        kind: str = _text(word)
        if not re.fullmatch(r"[<>|=]?([fiub]\d{1,2}|O8?)", kind):
            raise pickle.UnpicklingError(f"arrays of {kind!r}")
        self.dtype = np.dtype(kind)

    def __setstate__(self, state: tuple) -> None:
        if any(part is not None for part in state[2:5]):
            raise pickle.UnpicklingError("arrays of records")
        self.dtype = self.dtype.newbyteorder(_text(state[1]))


class _Array:
    """What a pickle says of a `numpy.ndarray`, made into one here."""

    def __init__(self, file: _BigReads, buffer: Any = None, dtype: Any = None, shape: Any = (), order: Any = "C"):
        self._file = file
        if dtype is not None:
            self.__setstate__((1, shape, dtype, order == "F", buffer))

    def __setstate__(self, state: tuple) -> None:
        _, shape, record, fortran, content = state
        if record.dtype.hasobject:
            # Only the array that holds the dictionary itself is one of objects.
            if shape != () or not isinstance(content, list) or len(content) != 1:
                raise pickle.UnpicklingError("arrays of objects")
            self.content = content[0]
            return
        self.content = np.frombuffer(self._file.content(content), record.dtype).reshape(
            shape, order="F" if fortran else "C"
        )


def _plain(value: Any, done: dict[int, Any]) -> Any:
    """The value with every `_Array` replaced by what it holds; what is there several times is done once."""
    if not isinstance(value, (_Array, dict, list, tuple)):
        return value
    if id(value) not in done:
        if isinstance(value, _Array):
            result = _plain(value.content, done)
        elif isinstance(value, dict):
            result = {_text(key): _plain(item, done) for key, item in value.items()}
        else:
            result = [_plain(item, done) for item in value]
        done[id(value)] = result
    return done[id(value)]


def _text(value: Any) -> Any:
    """Python 2's strings as text; anything else as it is."""
    return value.decode("latin1") if isinstance(value, bytes) else value


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
            file.write(_packed_text(layer))
            if arrays.keys() == {"weights", "biases"}:
                file.write(b"(")
                file.writelines(part for name in ("weights", "biases") for part in _array(arrays[name]))
                file.write(b"l")
            else:
                file.write(b"(")
                file.writelines(part for name, array in arrays.items() for part in (_packed_text(name), *_array(array)))
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
    made = b"cnumpy\ndtype\n(" + _packed_text(kind) + b"\x89\x88tR"
    return made + b"(K\x03" + _packed_text(order) + b"NNN" + _number(-1) * 2 + _number(flags) + b"tb"


def _packed_text(text: str) -> bytes:
    content = text.encode()
    return b"X" + struct.pack("<I", len(content)) + content


def _number(number: int) -> bytes:
    return b"J" + struct.pack("<i", number)
