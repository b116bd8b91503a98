"""Which layout the tensors of a graph have while it is converted from NCHW to NHWC, and their other versions."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import tensorflow.compat.v1 as tf

from slim_models.graph_defs import Rewriting, constants, node_name, type_of
from slim_models.skeletons import inferred

TO_LAST = (0, 2, 3, 1)  # axis i of NHWC is axis TO_LAST[i] of NCHW
TO_FIRST = (0, 3, 1, 2)
AXIS_IN_LAST = TO_FIRST  # axis i of NCHW is axis AXIS_IN_LAST[i] of NHWC


class TensorLayouts:
    """What each rule of the conversion asks: a tensor's layout, its version in the other, its rank.

    Tensors are named as of `tensor_name`. A tensor of rank 4 is either as it was, NCHW in what is to be
    converted, or in `last`: NHWC under its own name. The other version is a Transpose, one for all readers.

    Attributes:
        rewriting: the new graph.
        constants: tensor -> value of the constants that are small.
        last: tensors that are NHWC in the new graph and were NCHW.
    """

    def __init__(self, graph_def: tf.GraphDef) -> None:
        self.rewriting = Rewriting(graph_def)
        self.constants = constants(graph_def)
        self.last: set[str] = set()
        self._shapes = inferred(graph_def)
        self._versions: dict[str, str] = {}
        self._permutations: dict[tuple[int, ...], str] = {}

    def shape(self, tensor: str) -> list[int | None] | None:
        """The shape that the tensor has in the graph as it was; None is an unknown rank."""
        shape = self._shapes.get_tensor_by_name(tensor).shape
        return None if shape.ndims is None else shape.as_list()

    def rank(self, tensor: str) -> int | None:
        """Number of axes, if known."""
        return self._shapes.get_tensor_by_name(tensor).shape.ndims

    def as_first(self, tensor: str) -> str:
        """The tensor as it was: NCHW, if it has rank 4."""
        return self._transposed(tensor, TO_FIRST) if tensor in self.last else tensor

    def as_last(self, tensor: str) -> str:
        """The tensor of rank 4 in NHWC."""
        return tensor if tensor in self.last else self._transposed(tensor, TO_LAST)

    def as_operand(self, tensor: str) -> str | None:
        """What broadcasts against NHWC as `tensor` did against NCHW; None if that is not known.

        One number is what it was; `[C, H, W]`, `[C, 1, 1]` say, becomes `[H, W, C]`.
        """
        shape = self.shape(tensor)
        if tensor in self.last or (shape is not None and len(shape) <= 4 and all(size == 1 for size in shape)):
            return tensor
        if shape is None or len(shape) not in (3, 4):
            return None
        return self.as_last(tensor) if len(shape) == 4 else self._transposed(tensor, (1, 2, 0))

    def per_axis(self, tensor: str) -> str:
        """Sizes or paddings of the four axes, `[4]` or `[4, 2]`, in the order of NHWC."""
        name = f"{node_name(tensor)}/channels_last"
        if tensor in self.constants:
            return self.rewriting.constant(name, self.constants[tensor][list(TO_LAST)])
        layouts = {"src_format": tf.AttrValue(s=b"NCHW"), "dst_format": tf.AttrValue(s=b"NHWC")}
        return self.rewriting.add("DataFormatVecPermute", name, [tensor], T=self._dtype(tensor), **layouts)

    def axes(self, tensor: str) -> list[int] | None:
        """Axes that a small constant names, of NCHW, none of them negative; None if it is not a constant."""
        value = self.constants.get(tensor)
        return None if value is None else [int(axis) % 4 for axis in np.ravel(value)]

    def axes_in_last(self, tensor: str) -> str:
        """A constant that names the same axes of NHWC."""
        value = self.constants[tensor]
        mapped = np.asarray(AXIS_IN_LAST, value.dtype)[value % 4]
        return self.rewriting.constant(f"{node_name(tensor)}/channels_last", np.asarray(mapped))

    def _dtype(self, tensor: str) -> tf.AttrValue:
        return type_of(self._shapes.get_tensor_by_name(tensor).dtype)

    def _transposed(self, tensor: str, permutation: Sequence[int]) -> str:
        if tensor not in self._versions:
            order = tuple(permutation)
            if order not in self._permutations:
                self._permutations[order] = self.rewriting.constant("layout/order", np.array(order, np.int32))
            name = f"{node_name(tensor)}/{'channels_first' if order == TO_FIRST else 'channels_last'}"
            types = {"T": self._dtype(tensor), "Tperm": type_of(tf.int32)}
            inputs = [tensor, self._permutations[order]]
            self._versions[tensor] = self.rewriting.add("Transpose", name, inputs, **types)
        return self._versions[tensor]
