"""HDF5 files of others, opened so that nothing outside of them is read, once another process has survived them.

HDF5's own library trusts what it reads: a few changed bytes are enough to end the process, or to keep it for ever. So a
file is read whole in a process of its own first, which may take so much time and memory and no more.
"""

from __future__ import annotations

import contextlib
import functools
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from typing import Any

import h5py

from slim_models.mistakes import BadValue
from slim_models.weights.archives import check_claim

# What the other process may take: seconds, and bytes a second; bytes of memory, and beside them times the file's size.
_SECONDS, _RATE = 30, 5 * 2**20
_MEMORY, _TIMES = 4 * 2**30, 4
_TRIAL = """
import json, sys
sys.path[:] = json.loads(sys.argv[1])
from slim_models.weights.hdf5 import read_all
read_all(sys.argv[2])
"""
_REFUSED, _UNREADABLE = 3, 4  # what the process ends with when it has said why


@contextlib.contextmanager
def open_hdf5(given: Any) -> Iterator[h5py.File]:
    """Opens a file for reading, by its path or as an open binary file.

    Raises:
        ValueError: something in it points outside, it claims more than it can hold, or it is damaged.
    """
    if isinstance(given, (str, os.PathLike)):
        path = pathlib.Path(given)
        _survived(path, path.name, *_state(path))
        with _opened(path, os.fspath(path)) as file:
            yield file
        return
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "file.h5"
        with path.open("wb") as copy:
            shutil.copyfileobj(given, copy)
        name = getattr(given, "name", "the file")
        _survived(path, name, *_state(path))
        with _opened(path, name) as file:
            yield file


@contextlib.contextmanager
def _opened(path: pathlib.Path, name: str) -> Iterator[h5py.File]:
    try:
        file = h5py.File(path, "r")
    except OSError as error:
        raise BadValue(f"{name} cannot be read as an HDF5 file: {error}") from error
    with file:
        refuse_what_lies_outside(file)
        yield file


def _state(path: pathlib.Path) -> tuple[int, int, int]:
    try:
        found = path.stat()
    except OSError as error:
        raise BadValue(f"{path} cannot be read as an HDF5 file: {error}") from error
    return found.st_size, found.st_mtime_ns, found.st_ino


@functools.lru_cache(64)  # a file is opened several times on the way to a network
def _survived(path: pathlib.Path, name: str, size: int, *_: int) -> None:
    """Whether another process has read the whole file and lived; errors as of `open_hdf5`."""
    if not sys.executable or getattr(sys, "frozen", False):  # no Python to be started
        return
    command = [sys.executable, "-c", _TRIAL, json.dumps(sys.path), str(path.absolute())]
    try:
        result = subprocess.run(
            command,
            capture_output=True,
            text=True,
            timeout=_SECONDS + size / _RATE,
            env=os.environ | {"NUMPY_MADVISE_HUGEPAGE": "0"},  # why: `memory.aligned_bytes`
        )
    except subprocess.TimeoutExpired as error:
        raise BadValue(f"{name} cannot be read as an HDF5 file: HDF5 does not come to an end with it") from error
    if result.returncode == _REFUSED:
        raise BadValue(f"{name}: {result.stdout.strip()}")
    if result.returncode == _UNREADABLE:
        raise BadValue(f"{name} cannot be read as an HDF5 file: {result.stdout.strip()}")
    if result.returncode:
        last = (result.stderr.strip().splitlines() or [f"the process ended with {result.returncode}"])[-1]
        raise BadValue(f"{name} cannot be read as an HDF5 file, which is damaged: HDF5's library fails ({last[:200]})")


def read_all(path: str) -> None:
    """Reads everything in a file, and ends the process with what is wrong: for a process of its own."""
    size = os.stat(path).st_size  # noqa: PTH116 - a few modules are enough
    with contextlib.suppress(ImportError, ValueError, OSError):  # only Linux says how much is taken already
        import resource

        taken = int(pathlib.Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        limit = taken + _MEMORY + _TIMES * size
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    try:
        with h5py.File(path, "r") as file:
            items = list(refuse_what_lies_outside(file))
            check_claim(sum(item.nbytes for item in items if isinstance(item, h5py.Dataset)), size)
            for item in items:
                for value in item.attrs.values():
                    del value
                if isinstance(item, h5py.Dataset):
                    item[()]
    except Exception as error:  # h5py raises nearly anything
        print(str(error).replace("\n", " "), flush=True)
        os._exit(
            _REFUSED if isinstance(error, BadValue) else _UNREADABLE
        )  # what is left to be closed could still end the process in another way


def refuse_what_lies_outside(file: h5py.File) -> list[Any]:
    """HDF5 can name other files, anybody's, as the place of a group or of numbers; weights have no need to.

    Returns:
        All groups and arrays, each once.

    Raises:
        ValueError: a link, or external or virtual storage.
    """
    groups: list[Any] = [file["/"]]
    seen: dict[int, Any] = {}
    while groups:
        group = groups.pop()
        seen.setdefault(h5py.h5o.get_info(group.id).addr, group)
        for name in group:
            where = f"{group.name.rstrip('/')}/{name}"
            if not isinstance(group.get(name, getlink=True), h5py.HardLink):
                raise BadValue(f"{where} of the HDF5 file is a link, perhaps to another file: it is not followed")
            item = group[name]
            if isinstance(item, h5py.Dataset) and (item.external or item.is_virtual):
                raise BadValue(f"{where} of the HDF5 file has its numbers in another file, which is not read")
            address = h5py.h5o.get_info(item.id).addr if isinstance(item, (h5py.Group, h5py.Dataset)) else None
            if address is not None and address not in seen:  # hard links can go round in a circle
                seen[address] = item
                groups += [item] if isinstance(item, h5py.Group) else []
    return list(seen.values())
