"""Weight files -> `{variable name: array}`: npy dictionaries, npz, V1 and V2 checkpoints."""

from __future__ import annotations

import os
import pathlib

import numpy as np
import tensorflow.compat.v1 as tf

from slim_models.npy import read_npy


def read_weights(path: str | os.PathLike) -> dict[str, np.ndarray]:
    """Reads a file of weights, whatever its format.

    Args:
        path: one of

            - `.npy`: a pickled dictionary `{layer: [weights, biases]}`, also one written by Python 2;
            - `.npz`: arrays by name;
            - a checkpoint, V1 or V2: the file, the prefix, or the directory with one in it.

    Returns:
        Arrays by the names of the variables: `conv1_1/weights`, `resnet_v1_50/conv1/weights`, ...

    Raises:
        FileNotFoundError: there is nothing at `path`.
        ValueError: the file is not what its name says, is damaged, or holds anything else than
            arrays of numbers.
    """
    path = pathlib.Path(path)
    readers = {".npy": read_npy, ".npz": _read_npz}
    if path.suffix in readers and not path.is_file():
        raise FileNotFoundError(f"no weights at {path}")
    weights = readers.get(path.suffix, _read_checkpoint)(path)
    for name, array in weights.items():
        if not isinstance(array, np.ndarray) or array.dtype.kind not in "fiu":
            kind = f"an array of {array.dtype}" if isinstance(array, np.ndarray) else type(array).__name__
            raise ValueError(f"{path}: {name} is {kind}, not an array of numbers")
    return weights


def _read_npz(path: pathlib.Path) -> dict[str, np.ndarray]:
    try:
        # A file of our own, because np.load leaves its open when the archive is damaged.
        with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
            return {name: arrays[name] for name in arrays.files}
    except Exception as error:  # a damaged archive can raise nearly anything
        raise ValueError(f"{path} is not an npz file of plain arrays: {error}") from error


def _read_checkpoint(path: pathlib.Path) -> dict[str, np.ndarray]:
    prefix = _checkpoint_prefix(path)
    try:
        reader = tf.train.load_checkpoint(str(prefix))
        return {name: np.asarray(reader.get_tensor(name)) for name in reader.get_variable_to_shape_map()}
    except (tf.errors.OpError, ValueError, RuntimeError) as error:
        reason = str(error).splitlines()[0]
        raise ValueError(f"{prefix} is neither .npy nor .npz nor a checkpoint that can be read: {reason}") from error


def _checkpoint_prefix(path: pathlib.Path) -> pathlib.Path:
    """What TensorFlow's reader wants: a V1 file or the prefix of a V2 checkpoint."""
    if path.is_dir():
        return _checkpoint_in(path)
    for part in (".index", ".meta", ".data-00000-of-00001"):  # named by one of a V2 checkpoint's files
        if path.name.endswith(part):
            path = path.with_name(path.name.removesuffix(part))
    if path.is_file() or path.with_name(f"{path.name}.index").is_file():
        return path
    raise FileNotFoundError(f"no weights at {path}")


def _checkpoint_in(folder: pathlib.Path) -> pathlib.Path:
    """The newest checkpoint of a training's folder, or the only one of a folder without a record."""
    latest = tf.train.latest_checkpoint(str(folder))
    if latest:
        return pathlib.Path(latest)
    found = {path.with_suffix("") for path in folder.glob("*.index")} | set(folder.glob("*.ckpt"))
    if len(found) != 1:
        names = ", ".join(sorted(path.name for path in found)) or "none"
        raise FileNotFoundError(f"{folder} should hold one checkpoint; found: {names}")
    return found.pop()
