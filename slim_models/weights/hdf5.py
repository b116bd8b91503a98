"""HDF5 files of others, opened so that nothing outside of them is read."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from typing import Any

import h5py

from slim_models.mistakes import BadValue


@contextlib.contextmanager
def open_hdf5(given: Any) -> Iterator[h5py.File]:
    """Opens a file for reading, by its path or as an open binary file.

    Raises:
        ValueError: something in it points outside, or it is damaged.
    """
    name = os.fspath(given) if isinstance(given, (str, os.PathLike)) else getattr(given, "name", "the file")
    try:
        file = h5py.File(given, "r")
    except OSError as error:
        raise BadValue(f"{name} cannot be read as an HDF5 file: {error}") from error
    with file:
        refuse_what_lies_outside(file)
        yield file


def refuse_what_lies_outside(file: h5py.File) -> None:
    """HDF5 can name other files, anybody's, as the place of a group or of numbers; weights have no need to.

    Raises:
        ValueError: a link, or external or virtual storage.
    """
    groups, seen = [file["/"]], set()
    while groups:
        group = groups.pop()
        for name in group:
            where = f"{group.name.rstrip('/')}/{name}"
            if not isinstance(group.get(name, getlink=True), h5py.HardLink):
                raise BadValue(f"{where} of the HDF5 file is a link, perhaps to another file: it is not followed")
            item = group[name]
            if isinstance(item, h5py.Group):
                address = h5py.h5o.get_info(item.id).addr
                if address not in seen:  # hard links can go round in a circle
                    seen.add(address)
                    groups.append(item)
            elif isinstance(item, h5py.Dataset) and (item.external or item.is_virtual):
                raise BadValue(f"{where} of the HDF5 file has its numbers in another file, which is not read")
