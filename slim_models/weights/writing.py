"""{variable name: array} -> weight files, and one format to another."""

from __future__ import annotations

import os
import pathlib
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from slim_models.files import whole_file, workshop
from slim_models.mistakes import BadValue
from slim_models.running import new_session
from slim_models.weights.npy import write_npy
from slim_models.weights.placing import put_in_place
from slim_models.weights.reading import evaluated_weights


def convert(
    source: str | os.PathLike,
    destination: str | os.PathLike,
    *,
    averages: bool | None = None,
    say: Callable[[str], object] | None = None,
) -> dict[str, np.ndarray]:
    """Writes the weights of one file as another.

    Args:
        source: anything that `read_weights` reads; VGG16 and VGG19 get the names and the layout of `vgg16.npy`,
            whoever wrote it. What a training keeps beside weights is left out.
        destination: of a format that `write_weights` writes.
        averages: whether to take the moving averages that a training has kept of its weights; None takes them where
            there is one of every trained weight.
        say: is told in lines what was taken and what left out; None is silent.

    Returns:
        What was written: variable name -> array.

    Raises:
        FileNotFoundError, ValueError: as `read_weights` and `write_weights`.
    """
    _writer(destination)  # a wrong suffix is told before half a gigabyte is read
    weights = evaluated_weights(source, averages, say)
    write_weights(destination, weights)
    return weights


def write_weights(path: str | os.PathLike, weights: Mapping[str, np.ndarray]) -> None:
    """Writes a file that `read_weights` reads back, whole or not at all.

    Whenever the process dies, what stood at `path` is there or what is written, a whole checkpoint of several files
    too; what is left beside it goes when the next one is written.

    Args:
        path: `.npy`, a dictionary `{layer: [weights, biases]}` as `vgg16.npy` is one (`{layer: {name:
            array}}` for other variables); `.npz`; or `.ckpt`, a V2 checkpoint.
        weights: variable name -> array.

    Raises:
        ValueError: another suffix; a name without a layer in an npy file.
    """
    writer, path = _writer(path), pathlib.Path(path)
    if writer is not _write_checkpoint:
        with whole_file(path) as temporary:
            writer(temporary, weights)
        return
    with workshop(path) as folder:
        writer(folder / path.name, weights)
        put_in_place(folder, path)


def _writer(path: str | os.PathLike) -> Callable[[pathlib.Path, Mapping[str, np.ndarray]], None]:
    suffix = pathlib.Path(path).suffix
    if suffix not in _WRITERS:
        raise BadValue(f"weights cannot be written as {os.fspath(path)!r}; the suffix can be {', '.join(_WRITERS)}")
    return _WRITERS[suffix]


def _write_npy(path: pathlib.Path, weights: Mapping[str, np.ndarray]) -> None:
    layers: dict[str, dict[str, np.ndarray]] = {}
    for name, array in weights.items():
        layer, _, kind = name.rpartition("/")
        if not layer:
            raise BadValue(f"{name!r} is of no layer, and an npy file is a dictionary of layers: write .ckpt or .npz")
        layers.setdefault(layer, {})[kind] = array
    write_npy(path, layers)


def _write_npz(path: pathlib.Path, weights: Mapping[str, np.ndarray]) -> None:
    arrays: dict[str, Any] = dict(weights)
    np.savez(path, **arrays)


def _write_checkpoint(path: pathlib.Path, weights: Mapping[str, np.ndarray]) -> None:
    import tensorflow.compat.v1 as tf

    arrays = {name: np.asarray(array) for name, array in weights.items()}
    with tf.Graph().as_default(), new_session() as session:
        # Fed, not constants: a GraphDef holds at most 2 GB.
        tensors = [tf.placeholder(array.dtype, array.shape) for array in arrays.values()]
        whole = [""] * len(arrays)
        save = tf.raw_ops.SaveV2(prefix=str(path), tensor_names=list(arrays), shape_and_slices=whole, tensors=tensors)
        session.run(save, dict(zip(tensors, arrays.values())))


_WRITERS = {".npy": _write_npy, ".npz": _write_npz, ".ckpt": _write_checkpoint}
