"""Checkpoints V1 read here, and not by TensorFlow, which a crafted one can end together with its process.

A V1 file is a table. Its first value tells of all variables, each other one holds a part of a variable, or the whole of
it (tensorflow/core/util/saved_tensor_slice.proto), as a TensorProto.
"""

from __future__ import annotations

import math
import pathlib
from collections.abc import Collection, Iterator
from typing import BinaryIO, NamedTuple

import numpy as np

from slim_models.memory import freeze
from slim_models.mistakes import BadValue
from slim_models.weights.archives import check_claim
from slim_models.weights.protobuf import Field, few, fields, messages_in, numbers_in
from slim_models.weights.table import Place, block_content, blocks, read_floats, values
from slim_models.weights.tensors import Extents, assembled, dtype_of, extents_in, shape_in

_FIELDS = 64  # in a message, but for the one that tells of all variables
_FLOAT32 = 1  # in tensorflow/core/framework/types.proto
_FLOATS = 5  # the field of a TensorProto that has float32 numbers
# Field of a TensorProto -> the type that it has its numbers in as they are; others have each in groups of seven bits.
_FIXED = {_FLOATS: "<f4", 6: "<f8", 9: "<c8", 12: "<c16", 4: ""}
_GROUPED = (7, 10, 11, 13, 16, 17)


class _Slice(NamedTuple):
    """A part of a variable: in which block, where along the axes, and where its TensorProto and its floats are."""

    block: Place
    extents: Extents
    tensor: Place
    floats: Place


class TensorSlices:
    """A V1 file, of which nothing has been read but where everything is.

    Attributes:
        shapes: of all variables, by name.
    """

    def __init__(self, path: pathlib.Path) -> None:
        """Walks through the file.

        Raises:
            ValueError: it is none, or damaged; a damaged one can raise an `EOFError` too.
        """
        self._path = path
        self._kinds: dict[str, int] = {}
        self._slices: dict[str, list[_Slice]] = {}
        self.shapes: dict[str, tuple[int, ...]] = {}
        with path.open("rb") as file:
            places = blocks(file)
            if not places:
                raise BadValue("it is no table of TensorFlow's (sstable)")
            for block, place in few((where, place) for where in places for place in values(file, where)):
                self._add(file, block, place)

    def _add(self, file: BinaryIO, block: Place, place: Place) -> None:
        """What a value tells: of all variables, or where a part of one is."""
        file.seek(place[0])
        for part in few(fields(file, sum(place)), _FIELDS):
            if part.wire_type == 2 and part.number == 1:
                first = file.tell() - block[0]
                self._describe(block_content(file, block)[first : first + part.value])
            elif part.wire_type == 2 and part.number == 2:
                name, found = _slice(file, block, file.tell() + part.value)
                self._slices.setdefault(name, []).append(found)

    def _describe(self, content: bytes) -> None:
        for variable in few(messages_in(content, 1)):
            name = next(iter(messages_in(variable, 1)), b"").decode()
            self.shapes[name] = shape_in(b"".join(messages_in(variable, 2)), name)
            self._kinds[name] = numbers_in(variable).get(3, 0)

    def arrays(self, names: Collection[str]) -> dict[str, np.ndarray]:
        """Variables, read-only, whose bytes have been held against the CRC-32C of their blocks.

        Args:
            names: of variables in `shapes`.

        Raises:
            ValueError: one is no array of numbers, or is not there as it is told of, or damaged.
        """
        sizes = {name: math.prod(self.shapes[name]) * dtype_of(self._kinds[name], name).itemsize for name in names}
        check_claim(sum(sizes.values()), self._path.stat().st_size)
        alone = {name: slices[0] for name in names if len(slices := self._slices.get(name, [])) == 1}
        floats = {name: one for name, one in alone.items() if self._kinds[name] == _FLOAT32}
        whole = {name: one for name, one in floats.items() if one.floats[1] == sizes[name] > 0}
        found: dict[str, np.ndarray] = {}
        with self._path.open("rb") as file:
            for block in {one.block for one in whole.values()}:
                inside = {name: one.floats for name, one in whole.items() if one.block == block}
                numbers = read_floats(file, block, inside)
                found |= {name: array.reshape(self.shapes[name]) for name, array in numbers.items()}
            return found | {name: freeze(self._of_parts(file, name)) for name in names if name not in found}

    def _of_parts(self, file: BinaryIO, name: str) -> np.ndarray:
        dtype, shape = dtype_of(self._kinds[name], name), self.shapes[name]

        def parts() -> Iterator[tuple[Extents, np.ndarray]]:
            content, block = b"", None
            for one in self._slices.get(name, []):
                content, block = (content if block == one.block else block_content(file, one.block)), one.block
                first = one.tensor[0] - one.block[0]
                yield one.extents, _numbers(content[first : first + one.tensor[1]], dtype)

        return assembled(name, shape, dtype, parts())


def _slice(file: BinaryIO, block: Place, end: int) -> tuple[str, _Slice]:
    """The name of the variable, and the part of it, of a SavedSlice that ends at `end`."""
    name, tensor, floats = "", (0, 0), (0, 0)
    extents: Extents = ()
    for field in few(fields(file, end), _FIELDS):
        if field.wire_type != 2:
            continue
        if field.number == 1:
            name = file.read(field.value).decode()
        elif field.number == 2:
            extents = extents_in(file.read(field.value))
        elif field.number == 3:
            tensor = (file.tell(), field.value)
            floats = next((place for inner, place in _placed(file, sum(tensor)) if inner.number == _FLOATS), (0, 0))
    return name, _Slice(block, extents, tensor, floats)


def _placed(file: BinaryIO, end: int) -> Iterator[tuple[Field, Place]]:
    """The packed fields of a message, with the places of their content."""
    for field in few(fields(file, end), _FIELDS):
        if field.wire_type == 2:
            yield field, (file.tell(), field.value)


def _numbers(tensor: bytes, dtype: np.dtype) -> np.ndarray:
    """The numbers of a TensorProto, `[count]`, whichever of its fields they are in."""
    found = []
    for number in _FIXED:
        content = b"".join(messages_in(tensor, number))
        found.append(np.frombuffer(content, _FIXED[number] or dtype))
    for number in _GROUPED:
        found.append(_ungrouped(b"".join(messages_in(tensor, number))))
    (numbers,) = [array for array in found if array.size] or [np.zeros(0, dtype)]
    if dtype.kind not in "iub" and numbers.dtype == np.uint64:  # half precision is kept as its bits
        return numbers.astype(np.uint16).view(dtype)
    return numbers.astype(np.int64).astype(dtype) if numbers.dtype == np.uint64 else numbers.astype(dtype)


def _ungrouped(content: bytes) -> np.ndarray:
    """Numbers in groups of seven bits, the lowest first, each but the last with its top bit set: uint64 `[count]`."""
    groups = np.frombuffer(content, np.uint8)
    last = np.flatnonzero(groups < 0x80)
    first = np.concatenate([[0], last[:-1] + 1]) if last.size else last
    result = np.zeros(last.size, np.uint64)
    for place in range(10):
        inside = first + place <= last
        result[inside] |= (groups[first[inside] + place].astype(np.uint64) & 0x7F) << np.uint64(7 * place)
    return result
