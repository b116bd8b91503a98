"""Caffe's `.caffemodel` -> arrays in TensorFlow's layout: the few protobuf messages that takes.

A caffemodel is a NetParameter of caffe.proto. Of its messages only the layers' names, types, blobs and what they read
and make are taken, one layer at a time; everything else is skipped.
"""

from __future__ import annotations

import math
import os
import pathlib
import struct
from collections.abc import Iterator
from typing import BinaryIO, NamedTuple

import numpy as np

from slim_models.mistakes import BadValue
from slim_models.weights.matrices import turned
from slim_models.weights.protobuf import fields, varint


class _Numbers(NamedTuple):
    """What the fields of a layer's message are numbered."""

    name: int
    type: int
    bottom: int
    top: int
    blobs: int
    concat: int
    batch_norm: int = 0


# Number of a NetParameter's field that holds a layer -> numbers of the layer's own fields: `layers` of
# the V1 format (2013-14), whose types are numbers, and `layer` of today's, whose types are words.
_LAYERS = {2: _Numbers(4, 5, 2, 3, 6, concat=9), 100: _Numbers(1, 2, 3, 4, 7, concat=104, batch_norm=139)}
_V1_NUMBERS = (2, 3, 4, 6, 8, 14, 15, 17, 18, 19, 22, 23, 25, 26, 35)
_V1_WORDS = (
    "BNLL Concat Convolution Dropout Flatten InnerProduct LRN Pooling ReLU Sigmoid Split TanH Eltwise Power AbsVal"
)
_V1_TYPES = dict(zip(_V1_NUMBERS, _V1_WORDS.split()))
# What these make has the channels of what they read.
_AS_BEFORE = {
    *("AbsVal", "BNLL", "BatchNorm", "Bias", "Dropout", "ELU", "Eltwise", "LRN", "Pooling", "Power", "ReLU", "Scale"),
    *("Sigmoid", "Split", "TanH"),
}
# Blobs of the layers that V1 had not yet: of batch norm also a number by which both are to be divided.
_VECTORS = {"BatchNorm": ("moving_mean", "moving_variance"), "Scale": ("gamma", "beta")}
EPSILON = 1e-5  # that Caffe's batch norm adds unless the file says otherwise


class _Layer(NamedTuple):
    """A layer of the file, with its arrays unread."""

    name: str
    kind: str
    bottoms: list[str]
    tops: list[str]
    blobs: list[_Blob]
    axis: int  # along which a Concat joins
    epsilon: float


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
        channel-height-width. `layer/moving_mean` and `layer/moving_variance` (for an epsilon of `EPSILON`) of a
        `BatchNorm`, `layer/gamma` and `layer/beta` of a `Scale`.

    Raises:
        EOFError: it is only the first part of a file.
        ValueError: a layer with weights of another type, blobs whose numbers do not fit their shape, a fully connected
            layer that reads maps of unknown depth, or no protobuf at all.
    """
    weights: dict[str, np.ndarray] = {}
    depths = _Depths()
    with path.open("rb") as file:
        for layer in _layers(file):
            if layer.blobs:
                weights |= {f"{layer.name}/{part}": array for part, array in _arrays(layer, depths)}
            depths.add(layer)
    if not weights:
        raise BadValue("it holds no layers with weights")
    return weights


def _arrays(layer: _Layer, depths: _Depths) -> Iterator[tuple[str, np.ndarray]]:
    """The arrays of a layer, by what they are."""
    if layer.kind in _VECTORS:
        vectors = _vectors(layer.blobs)
        if layer.kind == "BatchNorm" and layer.epsilon != EPSILON:
            vectors[1] = vectors[1] + np.float32(layer.epsilon - EPSILON)
        yield from zip(_VECTORS[layer.kind], vectors)
        return
    if layer.kind == "Convolution":
        yield "weights", np.ascontiguousarray(layer.blobs[0].read().transpose(2, 3, 1, 0))
    elif layer.kind == "InnerProduct":
        yield "weights", _fully_connected(layer.name, layer.blobs[0], depths.below(layer))
    else:
        kind = int(layer.kind) if layer.kind.isdecimal() else layer.kind
        raise BadValue(f"layer {layer.name!r} is neither a convolution nor fully connected but of type {kind!r}")
    if len(layer.blobs) > 1:
        yield "biases", layer.blobs[1].read().reshape(-1)


class _Depths:
    """How many channels what the layers make has, followed from layer to layer."""

    def __init__(self) -> None:
        self._known: dict[str, int] = {}
        self._flattened: set[str] = set()
        self._makers: dict[str, _Layer] = {}

    def add(self, layer: _Layer) -> None:
        """Takes account of what a layer makes; layers come in the order in which they are computed."""
        depth = self._made(layer)
        flat = layer.kind == "Flatten" or any(bottom in self._flattened for bottom in layer.bottoms)
        for top in layer.tops:
            self._makers[top] = layer
            self._known.pop(top, None)
            self._flattened.discard(top)
            if depth is not None:
                self._known[top] = depth
                self._flattened |= {top} if flat and layer.kind not in ("Convolution", "InnerProduct") else set()

    def _made(self, layer: _Layer) -> int | None:
        below = [self._known.get(bottom) for bottom in layer.bottoms]
        if layer.kind in ("Convolution", "InnerProduct"):
            return layer.blobs[0].shape[0 if layer.kind == "Convolution" else -2] if layer.blobs else None
        if layer.kind in _AS_BEFORE or layer.kind == "Flatten":
            return below[0] if below else None
        # What was flattened before it was joined lies branch by branch.
        if layer.kind == "Concat" and layer.axis == 1 and not self._flattened & {*layer.bottoms}:
            known = [depth for depth in below if depth is not None]
            return sum(known) if len(known) == len(below) else None
        return None

    def below(self, layer: _Layer) -> int:
        """The channels of the maps that a fully connected layer reads.

        Raises:
            ValueError: they are not known.
        """
        bottom = layer.bottoms[0] if layer.bottoms else ""
        if bottom in self._known:
            return self._known[bottom]
        maker = self._makers.get(bottom)
        made = f"layer {maker.name!r} of type {maker.kind!r} makes" if maker else "no layer makes"
        raise BadValue(
            f"layer {layer.name!r} reads {bottom!r}, which {made}: in which order its numbers lie cannot be followed"
        )


def _vectors(blobs: list[_Blob]) -> list[np.ndarray]:
    """The blobs of a batch norm or scale; the sums that Caffe keeps of statistics, over what they are sums of."""
    first, *others = (blob.read().reshape(-1) for blob in blobs)
    if len(blobs) < 3:
        return [first, *others]
    (factor,) = others[1]
    scale = np.float32(0 if factor == 0 else 1 / factor)  # as Caffe does
    return [first * scale, others[0] * scale]


def _fully_connected(name: str, blob: _Blob, depth: int) -> np.ndarray:
    """`[out, in]` -> `[in, out]`; `in` is in channel-height-width order, of maps of that many channels."""
    outputs, inputs = blob.shape[-2:]
    blob = blob._replace(shape=[outputs, inputs])
    side = math.isqrt(inputs // depth) if depth else 0
    if inputs != depth * side * side:
        raise BadValue(f"layer {name!r} takes {inputs} numbers, which are no square maps of {depth} channels")
    return turned(blob.read, outputs, depth, side)


def _layers(file: BinaryIO) -> Iterator[_Layer]:
    """Every layer, in the file's order, which is that of computing."""
    for field in fields(file, os.fstat(file.fileno()).st_size):
        if field.number in _LAYERS and field.wire_type == 2:
            yield _layer(file, file.tell() + field.value, _LAYERS[field.number])


def _layer(file: BinaryIO, end: int, numbers: _Numbers) -> _Layer:
    name, kind, axis, epsilon = "", "", 1, EPSILON
    bottoms: list[str] = []
    tops: list[str] = []
    blobs: list[_Blob] = []
    for part in fields(file, end):
        if part.number == numbers.type and part.wire_type == 0:
            kind = _V1_TYPES.get(part.value, str(part.value))
        elif part.wire_type != 2:
            continue
        elif part.number == numbers.blobs:
            blobs.append(_blob(file, file.tell() + part.value))
        elif part.number == numbers.concat:
            axis = _axis(file, file.tell() + part.value)
        elif part.number == numbers.batch_norm:
            epsilon = _epsilon(file, file.tell() + part.value)
        elif part.number in (numbers.name, numbers.type, numbers.bottom, numbers.top):
            text = file.read(part.value).decode()
            if part.number == numbers.name:
                name = text
            elif part.number == numbers.type:
                kind = text
            else:
                (bottoms if part.number == numbers.bottom else tops).append(text)
    return _Layer(name, kind, bottoms, tops, blobs, axis, epsilon)


def _axis(file: BinaryIO, end: int) -> int:
    """A ConcatParameter's axis; -3 is the channels' too, as a number of 64 bits."""
    axis = 1
    for field in fields(file, end):
        if field.number in (1, 2) and field.wire_type == 0:
            axis = field.value
    return 1 if axis == 2**64 - 3 else axis


def _epsilon(file: BinaryIO, end: int) -> float:
    """A BatchNormParameter's."""
    epsilon = EPSILON
    for field in fields(file, end):
        if field.number == 3 and field.wire_type == 5:
            (number,) = struct.unpack("<f", file.read(4))
            epsilon = float(f"{number:.7g}")  # the decimal number that was written in the prototxt
    return epsilon


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
