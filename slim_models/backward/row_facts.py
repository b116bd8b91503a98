"""What is known of a graph's tensors: which are a row a picture, which no picture changes, which sizes say N.

The rules of `rows` read it and add to it. All of it is concluded from the graph; nothing is run.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import tensorflow.compat.v1 as tf

COUNT = "N"  # stands for the number of pictures among the elements of a shape
_VARIABLES = {"VariableV2", "Variable", "AutoReloadVariable", "VarHandleOp", "ReadVariableOp"}
# What comes out of these depends on more than on what goes in.
_OTHER = {"Merge", "RefMerge", "Switch", "RefSwitch", "Enter", "RefEnter", "Exit", "NextIteration", "Placeholder"}


class Facts:
    """Of the tensors that some operations give, told of the operations one by one, each after those it reads."""

    def __init__(self, images: tf.Tensor):
        """Knows of the images alone."""
        self._rows = {images.name}
        self._fixed: set[str] = set()
        self._elements: dict[str, np.ndarray | None] = {}

    def add(self, op: tf.Operation, rows: int) -> None:
        """Adds an operation.

        Args:
            op: the operation.
            rows: how many of its outputs, the first ones, are proved to be a row a picture.
        """
        if op.type == "IdentityN":  # each output copies an input, of whatever kind
            for read, copy in zip(op.inputs, op.outputs):
                self._rows.update([copy.name] if self.is_rows(read) else [])
                self._fixed.update([copy.name] if self.is_fixed(read) else [])
        self._rows.update(tensor.name for tensor in op.outputs[:rows])
        # What is random, or read from a queue, is stateful.
        stays = op.type in _VARIABLES or not (op.type in _OTHER or op.op_def.is_stateful)
        if stays and all(map(self.is_fixed, op.inputs)):
            self._fixed.update(tensor.name for tensor in op.outputs)

    def is_rows(self, tensor: tf.Tensor) -> bool:
        """Whether it is `[N, ...]` and its row i the same function of image i alone, whatever i, N and the others."""
        return tensor.name in self._rows

    def is_fixed(self, tensor: tf.Tensor) -> bool:
        """Whether it is the same whatever the images and however many."""
        if tensor.name in self._fixed:
            return True
        return tensor.dtype.base_dtype.is_integer and self.numbers(tensor) is not None

    def is_repeated(self, tensor: tf.Tensor, rank: int | None) -> bool:
        """Whether it is fixed, and broadcast along the first of `rank` axes where it meets a tensor of so many."""
        ndims = tensor.shape.ndims
        if rank is None or ndims is None or not self.is_fixed(tensor):
            return False
        return ndims < rank or (ndims == rank > 0 and tensor.shape.as_list()[0] == 1)

    def numbers(self, tensor: tf.Tensor) -> list[int] | None:
        """The elements of a shape, axes or paddings, in one row, if they are all fixed numbers."""
        values = self.elements(tensor)
        flat = None if values is None else values.ravel().tolist()
        return flat if flat is not None and all(isinstance(value, int) for value in flat) else None

    def sizes(self, tensor: tf.Tensor) -> list[int] | None:
        """What follows N in a shape `[N, ...]`, if that is all fixed numbers; None if the first is not N, too."""
        values = self.elements(tensor)
        if values is None or values.ndim != 1 or not values.size or values[0] != COUNT:
            return None
        return values[1:].tolist() if all(isinstance(value, int) for value in values[1:]) else None

    def elements(self, tensor: tf.Tensor) -> np.ndarray | None:
        """An integer tensor's elements: numbers, `COUNT`, or None for what is not known; None if nothing is."""
        if tensor.name not in self._elements:
            self._elements[tensor.name] = self._found(tensor) if tensor.dtype.base_dtype.is_integer else None
        return self._elements[tensor.name]

    def _found(self, tensor: tf.Tensor) -> np.ndarray | None:
        value = tf.get_static_value(tensor)
        if value is not None:
            return np.asarray(value).astype(object)
        if tensor.op.type == "Shape":
            return self._shape(tensor.op.inputs[0])
        if tensor.op.type not in _ARITHMETIC:
            return None
        values = [self.elements(read) for read in tensor.op.inputs]
        known = [value for value in values if value is not None]
        return _ARITHMETIC[tensor.op.type](tensor, *known) if len(known) == len(values) else None

    def _shape(self, of: tf.Tensor) -> np.ndarray | None:
        if not of.shape.ndims:
            return None
        first, *rest = of.shape.as_list()
        return np.array([COUNT if self.is_rows(of) else first, *rest], object)


def _sliced(tensor: tf.Tensor, vector: np.ndarray, *bounds: np.ndarray) -> np.ndarray | None:
    """A StridedSlice of a vector."""
    op = tensor.op
    begin, end, step = (bound.tolist() for bound in bounds)
    if vector.ndim != 1 or len(begin) != 1 or op.get_attr("ellipsis_mask") or op.get_attr("new_axis_mask"):
        return None
    if any(not isinstance(bound, int) for bound in (*begin, *end, *step)):
        return None
    if op.get_attr("shrink_axis_mask"):
        return np.array(vector[begin[0]], object)
    start = None if op.get_attr("begin_mask") else begin[0]
    return vector[start : None if op.get_attr("end_mask") else end[0] : step[0]]


def _slice(_: tf.Tensor, vector: np.ndarray, begin: np.ndarray, size: np.ndarray) -> np.ndarray | None:
    if vector.ndim != 1 or not all(isinstance(value, int) for value in (*begin, *size)):
        return None
    return vector[begin[0] :] if size[0] == -1 else vector[begin[0] : begin[0] + size[0]]


def _product(_: tf.Tensor, factors: np.ndarray, *more: np.ndarray) -> np.ndarray | None:
    """Of a vector (`Prod`, whose axis is then 0), or of two numbers (`Mul`)."""
    values = [*factors.ravel(), *(value for array in more for value in array.ravel())]
    return np.array(int(np.prod(values)), object) if all(isinstance(value, int) for value in values) else None


def _joined(_: tf.Tensor, *values: np.ndarray) -> np.ndarray | None:
    """A ConcatV2 of vectors."""
    *vectors, _axis = values
    return np.concatenate(vectors) if all(vector.ndim == 1 for vector in vectors) else None


def _packed(_: tf.Tensor, *values: np.ndarray) -> np.ndarray | None:
    return np.array([value.item() for value in values], object) if not any(value.ndim for value in values) else None


def _unpacked(tensor: tf.Tensor, vector: np.ndarray) -> np.ndarray | None:
    return np.array(vector[tensor.value_index], object) if vector.ndim == 1 else None


# What sizes are usually made of: the tensor and its inputs' elements -> its elements.
_ARITHMETIC: dict[str, Callable[..., np.ndarray | None]] = {
    "Identity": lambda _, value: value,
    "Cast": lambda _, value: value,
    "ConcatV2": _joined,
    "ExpandDims": lambda _, value, axis: value.reshape(1) if value.ndim == 0 else None,
    "Mul": lambda _, a, b: _product(_, a, b) if a.ndim == b.ndim == 0 else None,
    "Pack": _packed,
    "Prod": lambda _, value, axes: _product(_, value) if value.ndim == 1 and axes.size == 1 else None,
    "Slice": _slice,
    "StridedSlice": _sliced,
    "Unpack": _unpacked,
}
