"""Caffe's `.caffemodel` -> arrays in TensorFlow's layout: the few protobuf messages that takes.

A caffemodel is a NetParameter of caffe.proto. Of its messages only the layers' names, types and blobs
are read, one layer at a time; everything else is skipped by its length.
"""

from __future__ import annotations

import math
import os
import pathlib
from collections.abc import Iterator
from typing import BinaryIO, NamedTuple

import numpy as np

# Number of a NetParameter's field that holds a layer -> numbers of the layer's own fields: `layers` of
# the V1 format (2013-14), whose types are numbers, and `layer` of today's, whose types are words.
_LAYERS = {2: (4, 5, 6), 100: (1, 2, 7)}
_CONVOLUTION, _INNER_PRODUCT = (4, "Convolution"), (14, "InnerProduct")


class _Field(NamedTuple):
    """A field of a message: for a length-delimited one (wire type 2) `value` is the length."""

    number: int
    wire_type: int
    value: int


def read_caffemodel(path: pathlib.Path) -> dict[str, np.ndarray]:
    """Reads the convolutions and fully connected layers of a caffemodel, V1 or V2.

    Args:
        path: of the file, for example `VGG_ILSVRC_16_layers.caffemodel`.

    Returns:
        `layer/weights`, `layer/biases` -> float32 array: kernels `[h, w, in, out]` from Caffe's
        `[out, in, h, w]`, the first layer's input channels as they are (BGR), and fully connected weights
        `[in, out]`, the first of which expects height-width-channel order instead of Caffe's
        channel-height-width.

    Raises:
        ValueError: a layer with weights of another type, blobs whose numbers do not fit their shape, or
            no protobuf at all.
    """
    weights: dict[str, np.ndarray] = {}
    depth = None  # channels of the last convolution, while no fully connected layer has flattened them
    with path.open("rb") as file:
        for name, kind, blobs in _layers(file):
            if kind in _CONVOLUTION:
                weights[f"{name}/weights"] = np.ascontiguousarray(blobs[0].transpose(2, 3, 1, 0))
                depth = blobs[0].shape[0]
            elif kind in _INNER_PRODUCT:
                weights[f"{name}/weights"] = _fully_connected(name, blobs[0], depth)
                depth = None
            else:
                raise ValueError(f"layer {name!r} is neither a convolution nor fully connected but of type {kind!r}")
            if len(blobs) > 1:
                weights[f"{name}/biases"] = blobs[1].reshape(-1)
    if not weights:
        raise ValueError("it holds no layers with weights")
    return weights


def _fully_connected(name: str, blob: np.ndarray, depth: int | None) -> np.ndarray:
    """`[out, in]` -> `[in, out]`; `in` is in channel-height-width order if a convolution is below."""
    matrix = blob.reshape(blob.shape[-2:])
    if depth is None:
        return np.ascontiguousarray(matrix.T)
    outputs, inputs = len(matrix), matrix.size // len(matrix)
    side = math.isqrt(inputs // depth)
    if inputs != depth * side * side:
        raise ValueError(f"layer {name!r} takes {inputs} numbers, which are no square maps of {depth} channels")
    return matrix.reshape(outputs, depth, side, side).transpose(2, 3, 1, 0).reshape(inputs, outputs)


def _layers(file: BinaryIO) -> Iterator[tuple[str, int | str, list[np.ndarray]]]:
    """Name, type and blobs of every layer that has blobs."""
    for field in _fields(file, os.fstat(file.fileno()).st_size):
        if field.number not in _LAYERS or field.wire_type != 2:
            continue
        name, blobs = "", []
        kind: int | str = 0
        name_number, type_number, blobs_number = _LAYERS[field.number]
        for part in _fields(file, file.tell() + field.value):
            if part.number == name_number:
                name = file.read(part.value).decode()
            elif part.number == type_number:
                kind = file.read(part.value).decode() if part.wire_type == 2 else part.value
            elif part.number == blobs_number:
                blobs.append(_blob(file, file.tell() + part.value))
        if blobs:
            yield name, kind, blobs


def _blob(file: BinaryIO, end: int) -> np.ndarray:
    """A BlobProto: float32 of its own shape, or of the four numbers that came before shapes."""
    shape: list[int] = []
    legacy: dict[int, int] = {}
    data = np.zeros(0, np.float32)
    for field in _fields(file, end):
        if field.number in (5, 8):  # data, double_data
            if field.wire_type != 2:
                raise ValueError("its numbers are not packed, as Caffe writes them")
            kind = np.dtype("<f4" if field.number == 5 else "<f8")
            data = np.fromfile(file, kind, field.value // kind.itemsize).astype(np.float32, copy=False)
        elif field.number == 7:
            shape = _dimensions(file, file.tell() + field.value)
        elif field.number <= 4:
            legacy[field.number] = field.value
    shape = shape or [legacy.get(number, 1) for number in (1, 2, 3, 4)]
    if math.prod(shape) != data.size:
        raise ValueError(f"a blob of shape {shape} holds {data.size} numbers")
    return data.reshape(shape)


def _dimensions(file: BinaryIO, end: int) -> list[int]:
    """A BlobShape: its dimensions, packed or one by one."""
    result = []
    for field in _fields(file, end):
        if field.wire_type == 0:
            result.append(field.value)
        else:
            last = file.tell() + field.value
            while file.tell() < last:
                result.append(_varint(file))
    return result


def _fields(file: BinaryIO, end: int) -> Iterator[_Field]:
    """The fields of a message that ends at `end`; the content of a length-delimited one is next in the file."""
    while file.tell() < end:
        key = _varint(file)
        number, wire_type = divmod(key, 8)
        if wire_type not in (0, 1, 2, 5) or not number:
            raise ValueError("it is no protobuf message")
        value = _varint(file) if wire_type in (0, 2) else {1: 8, 5: 4}[wire_type]
        after = file.tell() + (value if wire_type else 0)
        if after > end:
            raise EOFError("it ends in the middle of a message")
        yield _Field(number, wire_type, value)
        file.seek(after)


def _varint(file: BinaryIO) -> int:
    """A number in groups of seven bits, the lowest first; the top bit says that another follows."""
    result = 0
    for shift in range(0, 70, 7):
        byte = file.read(1)
        if not byte:
            raise EOFError("it ends in the middle of a message")
        result |= (byte[0] & 0x7F) << shift
        if byte[0] < 0x80:
            return result
    raise ValueError("it is no protobuf message")
