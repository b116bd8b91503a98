"""Values that a user gives to inputs beside the pictures: whose they are, and whether they can be."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow.compat.v1 as tf

from slim_models.loading.inputs import outputs
from slim_models.loading.passes import PIPELINES, PLACEHOLDERS, Given
from slim_models.loading.tensors import has_tensor, shape_of, text_of
from slim_models.mistakes import BadValue, UnknownName

Feed = Mapping[str, Any]


def fed_tensors(graph: tf.Graph, feed: Feed, words: Mapping[str, str]) -> dict[str, tf.Tensor]:
    """The inputs that values are given to.

    Args:
        graph: of `Graph.inferred`.
        feed: name -> value.
        words: what an input may be called -> name of its tensor, beside the names of tensors.

    Returns:
        The user's name -> the tensor.

    Raises:
        KeyError: there is no such input.
        ValueError: two names mean one input.
    """
    inputs = {tensor.name: tensor for tensor in outputs(graph, (*PLACEHOLDERS, *PIPELINES))}
    found: dict[str, tf.Tensor] = {}
    for name in feed:
        tensor = words.get(name, name if ":" in name else f"{name}:0")
        if name in words and not has_tensor(graph, tensor):
            continue  # the outputs that are asked for do not depend on it
        if name in words:
            inputs[tensor] = graph.get_tensor_by_name(tensor)
        if tensor not in inputs:
            known = ", ".join(_listed(inputs, words)) or "none"
            raise UnknownName(f"feed: there is no input {name!r}; the inputs are {known}")
        twice = [other for other, same in found.items() if same.name == tensor]
        if twice:
            raise BadValue(f"feed: {twice[0]!r} and {name!r} are the same input, {tensor}")
        found[name] = inputs[tensor]
    return found


def _listed(inputs: Mapping[str, tf.Tensor], words: Mapping[str, str]) -> list[str]:
    spoken = {tensor: word for word, tensor in words.items() if "/" not in word}
    names = {tensor: spoken.get(name, name.removesuffix(":0")) for name, tensor in inputs.items()}
    ours = [tensor for tensor in inputs.values() if tensor.name in words.values()] or list(inputs.values())
    return [f"{names[tensor]} ({text_of(tensor)})" for tensor in ours]


def given_value(name: str, value: Any, tensor: tf.Tensor, number: int | None) -> Given:
    """A value for an input, in its type and shape.

    Args:
        name: the user's word for the input.
        value: of one picture where the input is `[N, ...]`.
        tensor: the input.
        number: N of the pictures; None is any.

    Raises:
        ValueError: it cannot be of that type or shape.
    """
    array = _cast(name, value, tensor.dtype.base_dtype)
    shape = shape_of(tensor)
    if shape is None:  # a number is one number, and what has axes is of one picture
        return Given(array[None] if array.ndim else array, array.ndim > 0)
    if shape and shape[0] in (None, number):
        return Given(_shaped(name, array, shape[1:], tensor)[None], True)
    return Given(_shaped(name, array, shape, tensor), False)


def _cast(name: str, value: Any, dtype: tf.DType) -> np.ndarray:
    """Numbers in another type, if they stay the same numbers (or are rounded as that type rounds)."""
    try:
        array = np.asarray(value)
    except (ValueError, Warning) as error:  # rows of several lengths, which older NumPys only warn of
        raise BadValue(f"feed: the value of {name} is no array: {error}") from error
    text = array.dtype.kind in "US" or (array.dtype == object and all(isinstance(v, (str, bytes)) for v in array.flat))
    if dtype == tf.string:
        if not text:
            raise BadValue(f"feed: {name} takes text, not {value!r}")
        return array.astype(object)
    if text or array.dtype.kind not in "biuf":
        raise BadValue(f"feed: {name} takes {dtype.name}, not {value!r}")
    with np.errstate(all="ignore"):
        cast = array.astype(dtype.as_numpy_dtype)
    wide = cast.astype(np.float64)
    same = wide == array.astype(np.float64) if not dtype.is_floating else np.isfinite(array) & np.isfinite(wide)
    if not np.all(same):
        raise BadValue(f"feed: {name} takes {dtype.name}, which cannot be {value!r}")
    return cast


def _shaped(name: str, array: np.ndarray, shape: Sequence[int | None], tensor: tf.Tensor) -> np.ndarray:
    """In the shape of the input: as it is, one number for a shape of ones, or with an axis of one before."""
    if len(array.shape) == len(shape) + 1 and array.shape[0] == 1:
        array = array[0]
    if array.ndim == 0 and all(size in (1, None) for size in shape):
        array = array.reshape([1] * len(shape))
    if array.ndim + 1 == len(shape) and shape[0] == 1:
        array = array[None]
    if len(array.shape) != len(shape) or any(want not in (None, own) for want, own in zip(shape, array.shape)):
        sizes = ", ".join("?" if size is None else str(size) for size in shape)
        raise BadValue(
            f"feed: the value of {name} is {list(array.shape)}, and should be [{sizes}], as {text_of(tensor)} has it"
            + (" for one picture" if list(shape) != shape_of(tensor) else "")
        )
    return array
