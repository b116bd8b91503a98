"""Caffe's `.caffemodel` -> arrays in TensorFlow's layout: the few protobuf messages that takes.

A caffemodel is a NetParameter of caffe.proto. Of its messages only the layers' names, types and blobs
are read, one layer at a time; everything else is skipped.
"""

from __future__ import annotations

import math
import os
import pathlib
from collections.abc import Iterator
from typing import BinaryIO, NamedTuple

import numpy as np

from slim_models.mistakes import BadValue
from slim_models.weights.protobuf import fields, varint

# Number of a NetParameter's field that holds a layer -> numbers of the layer's own fields: `layers` of
# the V1 format (2013-14), whose types are numbers, and `layer` of today's, whose types are words.
_LAYERS = {2: (4, 5, 6), 100: (1, 2, 7)}
_CONVOLUTION, _INNER_PRODUCT = (4, "Convolution"), (14, "InnerProduct")
# Blobs of the layers that V1 had not yet: of batch norm also a number by which both are to be divided.
_VECTORS = {"BatchNorm": ("moving_mean", "moving_variance"), "Scale": ("gamma", "beta")}


class _Blob(NamedTuple):
    """A layer's array in the file: float32 or float64 numbers, from `start` on, row after row."""

    file: BinaryIO
    start: int
    dtype: np.dtype
    shape: list[int]

    def read(self, first: int = 0, last: int | None = None) -> np.ndarray:
        """Rows of the array, float32: `[last - first, ...]`."""
        rows = (self.shape[0] if last is None else min(last, self.shape[0])) - first
        size = math.prod(self.shape[1:])
        self.file.seek(self.start + first * size * self.dtype.itemsize)
        numbers = np.fromfile(self.file, self.dtype, rows * size)
        return numbers.astype(np.float32, copy=False).reshape(rows, *self.shape[1:])


def read_caffemodel(path: pathlib.Path) -> dict[str, np.ndarray]:
    """Reads the convolutions, fully connected layers and batch norms of a caffemodel, V1 or V2.

    Args:
        path: of the file, for example `VGG_ILSVRC_16_layers.caffemodel`.

    Returns:
        `layer/weights`, `layer/biases` -> float32 array: kernels `[h, w, in, out]` from Caffe's
        `[out, in, h, w]`, the first layer's input channels as they are (BGR), and fully connected weights
        `[in, out]`, the first of which expects height-width-channel order instead of Caffe's
        channel-height-width. `layer/moving_mean` and `layer/moving_variance` of a `BatchNorm`, `layer/gamma` and
        `layer/beta` of a `Scale`.

    Raises:
        EOFError: it is only the first part of a file.
        ValueError: a layer with weights of another type, blobs whose numbers do not fit their shape, or
            no protobuf at all.
    """
    weights: dict[str, np.ndarray] = {}
    depth = None  # channels of the last convolution, while no fully connected layer has flattened them
    with path.open("rb") as file:
        for name, kind, blobs in _layers(file):
            if isinstance(kind, str) and kind in _VECTORS:
                weights |= {f"{name}/{part}": array for part, array in zip(_VECTORS[kind], _vectors(blobs))}
                continue
            if kind in _CONVOLUTION:
                weights[f"{name}/weights"] = np.ascontiguousarray(blobs[0].read().transpose(2, 3, 1, 0))
                depth = blobs[0].shape[0]
            elif kind in _INNER_PRODUCT:
                weights[f"{name}/weights"] = _fully_connected(name, blobs[0], depth)
                depth = None
            else:
                raise BadValue(f"layer {name!r} is neither a convolution nor fully connected but of type {kind!r}")
            if len(blobs) > 1:
                weights[f"{name}/biases"] = blobs[1].read().reshape(-1)
    if not weights:
        raise BadValue("it holds no layers with weights")
    return weights


def _vectors(blobs: list[_Blob]) -> list[np.ndarray]:
    """The blobs of a batch norm or scale; the sums that Caffe keeps of statistics, over what they are sums of."""
    first, *others = (blob.read().reshape(-1) for blob in blobs)
    if len(blobs) < 3:
        return [first, *others]
    (factor,) = others[1]
    scale = np.float32(0 if factor == 0 else 1 / factor)  # as Caffe does
    return [first * scale, others[0] * scale]


def _fully_connected(name: str, blob: _Blob, depth: int | None) -> np.ndarray:
    """`[out, in]` -> `[in, out]`; `in` is in channel-height-width order if a convolution is below."""
    outputs, inputs = blob.shape[-2:]
    blob = blob._replace(shape=[outputs, inputs])
    depth = depth or inputs  # no maps below: every input is a channel of its own
    side = math.isqrt(inputs // depth)
    if inputs != depth * side * side:
        raise BadValue(f"layer {name!r} takes {inputs} numbers, which are no square maps of {depth} channels")
    result = np.empty((side, side, depth, outputs), np.float32)
    for first in range(0, outputs, 256):  # VGG16's fc6 is three quarters of the file: never twice in memory
        rows = blob.read(first, first + 256)
        result[..., first : first + 256] = rows.reshape(-1, depth, side, side).transpose(2, 3, 1, 0)
    return result.reshape(inputs, outputs)


def _layers(file: BinaryIO) -> Iterator[tuple[str, int | str, list[_Blob]]]:
    """Name, type and blobs of every layer that has blobs."""
    for field in fields(file, os.fstat(file.fileno()).st_size):
        if field.number not in _LAYERS or field.wire_type != 2:
            continue
        name, blobs = "", []
        kind: int | str = 0
        name_number, type_number, blobs_number = _LAYERS[field.number]
        for part in fields(file, file.tell() + field.value):
            if part.number == name_number:
                name = file.read(part.value).decode()
            elif part.number == type_number:
                kind = file.read(part.value).decode() if part.wire_type == 2 else part.value
            elif part.number == blobs_number:
                blobs.append(_blob(file, file.tell() + part.value))
        if blobs:
            yield name, kind, blobs


def _blob(file: BinaryIO, end: int) -> _Blob:
    """A BlobProto: with a shape of its own, or the four numbers that came before shapes."""
    shape: list[int] = []
    legacy: dict[int, int] = {}
    start, dtype, count = 0, np.dtype("<f4"), 0
    for field in fields(file, end):
        if field.number in (5, 8):  # data, double_data
            if field.wire_type != 2:
                raise BadValue("its numbers are not packed, as Caffe writes them")
            dtype = np.dtype("<f4" if field.number == 5 else "<f8")
            start, count = file.tell(), field.value // dtype.itemsize
        elif field.number == 7:
            shape = _dimensions(file, file.tell() + field.value)
        elif field.number <= 4:
            legacy[field.number] = field.value
    shape = shape or [legacy.get(number, 1) for number in (1, 2, 3, 4)]
    if math.prod(shape) != count:
        raise BadValue(f"a blob of shape {shape} holds {count} numbers")
    return _Blob(file, start, dtype, shape)


def _dimensions(file: BinaryIO, end: int) -> list[int]:
    """A BlobShape: its dimensions, packed or one by one."""
    result = []
    for field in fields(file, end):
        if field.wire_type == 0:
            result.append(field.value)
        else:
            last = file.tell() + field.value
            while file.tell() < last:
                result.append(varint(file))
    return result
