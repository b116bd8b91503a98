"""The weights that everybody gets: random ones, drawn when they are not there."""

from __future__ import annotations

import pathlib
from collections.abc import Callable

from peers.arrays import write_arrays

import slim_models
from benchmarking.processes import Task
from slim_models.files import whole_file
from slim_models.mistakes import check_name
from slim_models.weights import random_weights


def provide(network: str, precision: str, folder: pathlib.Path, say: Callable[[str], None]) -> Task:
    """The task with a network's weights, which are drawn and written if they are not in the folder.

    Args:
        network: its name.
        precision: of `peers.PRECISIONS`.
        folder: has, or gets, the network's weights as our users have them (`vgg16.npy`, ...; `NETWORK.npz` will
            do), and the folder `NETWORK` of plain arrays.
        say: is told what is going on.

    Raises:
        KeyError: no such network.
        OSError: the folder cannot be written.
    """
    check_name("network", network, slim_models.NETWORKS)
    entry = slim_models.NETWORKS[network]
    file, arrays = folder / entry.file, folder / network
    other = folder / f"{network}.npz"
    if other.exists():
        file = other
    elif not file.exists() and not file.with_name(f"{file.name}.index").exists():
        say(f"{network}: drawing random weights")
        slim_models.write_weights(file, random_weights(slim_models.build(network)))
    if not arrays.is_dir():
        with whole_file(arrays) as temporary:
            write_arrays(temporary, slim_models.read_weights(file))
    return Task(network, file, arrays, entry.image_size, precision)
