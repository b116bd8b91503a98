"""Weight files -> `{variable name: array}`, whatever their format."""

from __future__ import annotations

import os
import pathlib
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from slim_models import files
from slim_models.mistakes import BadValue, MissingFile
from slim_models.weights import archives
from slim_models.weights.caffe_names import from_caffe
from slim_models.weights.caffemodel import read_caffemodel
from slim_models.weights.checkpoint import Chosen, is_checkpoint, read_checkpoint
from slim_models.weights.npy import read_npy
from slim_models.weights.pytorch import read_pytorch, read_safetensors
from slim_models.weights.torch_names import from_torch
from slim_models.weights.training import Say, evaluated
from slim_models.weights.vgg_names import (
    from_flat_vgg,
    from_slim_vgg,
    is_flat_vgg,
    is_slim_vgg,
    read_keras_hdf5,
    with_last_layer,
)


def read_weights(path: str | os.PathLike) -> dict[str, np.ndarray]:
    """Reads a file of weights, whatever its format, and all that a training has kept in it.

    Args:
        path: one of

            - `.npy`: a pickled dictionary `{layer: [weights, biases]}`, also one written by Python 2;
            - `.npz`: arrays by name, also those of `vgg16_weights.npz` (`conv1_1_W`, `conv1_1_b`, ...);
            - `.h5`: Keras' VGG16 or VGG19;
            - `.caffemodel`: VGG16, VGG19 (also fine-tuned), ResNet-50 and ResNet-101, or the layers of any other net;
            - `.pth`, `.pt`, `.bin`: a state dict of PyTorch, nothing of which is executed; `.safetensors`;
            - a checkpoint, V1 or V2: the file, the prefix, or the directory with one in it.

    Returns:
        Arrays by the names of the variables, `resnet_v1_50/conv1/weights`; those of VGG16 and VGG19 by the names
        and in the layout of `vgg16.npy`, `conv1_1/weights`, whichever program wrote it and whatever the last layer is
        called. PyTorch's are in TensorFlow's
        layout, by the names of our networks, if they are EfficientNet-Lite's or torchvision's VGG16, VGG19,
        ResNet-50 and ResNet-101; those of other networks are as they are in the file.

    Raises:
        FileNotFoundError: there is nothing at `path`.
        ValueError: the file is not what its name says, is damaged, or holds anything else than
            arrays of numbers.
    """
    return _read(path, lambda shapes: {name: name for name in shapes}, None)


def evaluated_weights(
    path: str | os.PathLike, averages: bool | None = None, say: Say | None = None
) -> dict[str, np.ndarray]:
    """Reads the weights that a network is evaluated with, without what a training has kept beside them.

    Args:
        path: as of `read_weights`.
        averages: whether to take the moving averages that a training has kept of its weights
            (`conv1/weights/ExponentialMovingAverage`); None takes them where there is one of every trained weight.
        say: is told in lines what was taken and what left out; None is silent.

    Returns:
        As `read_weights`.

    Raises:
        FileNotFoundError, ValueError: as `read_weights`, or the averages that are wanted are not there.
    """
    return _read(path, lambda shapes: evaluated(shapes, averages, say), say)


def _read(path: str | os.PathLike, chosen: Chosen, say: Say | None) -> dict[str, np.ndarray]:
    """Reads what is `chosen`; of a checkpoint nothing else."""
    check_weights_file(path)
    path = pathlib.Path(path)
    reader = _READERS.get(path.suffix.lower())
    if reader is None:
        weights = read_checkpoint(path, chosen)
    else:
        arrays = reader(path)
        _check_numbers(path, arrays)  # before anything asks for a shape: of lists in lists it takes all memory
        names = chosen({name: np.shape(array) for name, array in arrays.items()})
        weights = {name: arrays[source] for name, source in names.items()}
    if is_flat_vgg(weights):
        weights = from_flat_vgg(weights, say)
    if is_slim_vgg(weights):
        weights = from_slim_vgg(weights)
    weights = with_last_layer(weights, say)
    _check_numbers(path, weights)
    return weights


def check_weights_file(path: str | os.PathLike) -> None:
    """Whether there is something to read, which is quick to say.

    Raises:
        FileNotFoundError: there is nothing.
    """
    place = pathlib.Path(path)
    there = place.is_file() if place.suffix.lower() in _READERS else place.is_dir() or is_checkpoint(place)
    if not os.fspath(path) or not there:
        raise MissingFile(f"no weights at {os.fspath(path) or repr('')}")


def _check_numbers(path: pathlib.Path, weights: Mapping[str, Any]) -> None:
    for name, array in weights.items():
        if not isinstance(array, np.ndarray) or array.dtype.kind not in "fiu":
            kind = f"an array of {array.dtype}" if isinstance(array, np.ndarray) else type(array).__name__
            raise BadValue(f"{path}: {name} is {kind}, not an array of numbers")


def _explained(
    reader: Callable[[pathlib.Path], dict[str, np.ndarray]], beginning: bytes | tuple[bytes, ...], name: str
) -> Callable[[pathlib.Path], dict[str, np.ndarray]]:
    """The reader with one kind of error, which says what is wrong with the file.

    Args:
        reader: `path -> weights`.
        beginning: of every file of the format, or several, one of which it has; empty where it has none of its own.
        name: of the format, with its article.
    """

    def read(path: pathlib.Path) -> dict[str, np.ndarray]:
        with path.open("rb") as file:
            first = file.read(512)
        another = f"{path} is not {name}; it is "
        if not first.startswith(beginning) or files.impostor(path):
            raise BadValue(f"{another}{files.kind(path)}")
        try:
            return reader(path)
        # A damaged file can make the parsers raise nearly anything; whatever it is, the file is to blame.
        except Exception as error:
            if files.archive(first) and not beginning:  # not before: a safetensors file may begin with gzip's mark
                raise BadValue(f"{another}{files.kind(path)}") from error
            short = any(sign in str(error).lower() for sign in _SIGNS_OF_THE_FIRST_HALF)
            fault = "is only the first part of" if short else "cannot be read as"
            raise BadValue(f"{path} {fault} {name}: {error}") from error

    return read


_SIGNS_OF_THE_FIRST_HALF = ("truncated", "ran out of input", "ends in the middle", "not a zip file")
read_npz = _explained(archives.read_npz, b"PK", "an npz file of plain arrays")
_read_pytorch = _explained(
    lambda path: from_torch(read_pytorch(path)), (b"PK", b"\x80"), "a state dict that PyTorch saved"
)
_READERS = {
    ".npy": _explained(read_npy, b"\x93NUMPY", "an npy dictionary of arrays"),
    ".npz": read_npz,
    ".h5": _explained(read_keras_hdf5, b"\x89HDF", "an HDF5 file of Keras' VGG16 or VGG19"),
    ".hdf5": _explained(read_keras_hdf5, b"\x89HDF", "an HDF5 file of Keras' VGG16 or VGG19"),
    ".caffemodel": _explained(lambda path: from_caffe(read_caffemodel(path)), b"", "a caffemodel"),
    **dict.fromkeys((".pth", ".pt", ".bin"), _read_pytorch),
    ".safetensors": _explained(lambda path: from_torch(read_safetensors(path)), b"", "a safetensors file"),
}
