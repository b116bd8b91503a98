"""What was written takes the place of what stood there: whenever the process dies, a whole checkpoint is there.

No renaming of several files is done at once, but an index names its data by the number of files that they are in:
`.data-00000-of-00001`. An old index keeps its data until a new one, which names other files, has taken its place.
"""

from __future__ import annotations

import os
import pathlib
import re
import shutil

from slim_models.weights.table import shards, with_shards

_DATA = ".data-0000{}-of-0000{}"


def put_in_place(folder: pathlib.Path, path: pathlib.Path) -> None:
    """Moves a checkpoint from a folder to where it belongs; what stands there, of either version, goes.

    Args:
        folder: on the same file system, with a V1 file of that name, or a V2 checkpoint with its data in one file.
        path: of the file, or the prefix of the checkpoint.
    """
    if (folder / path.name).is_file():
        (folder / path.name).replace(path)  # beside an index it is not what is read, until that is gone
        stale = [path.with_name(f"{path.name}.index"), *_data(path)] if path.suffix == ".ckpt" else []
    else:
        _put_second_version(folder, path)
        stale = [path, *(part for part in _data(path) if not part.name.endswith(_DATA.format(0, 1)))]
    for part in stale:
        if part.is_file():
            part.unlink()


def _put_second_version(folder: pathlib.Path, path: pathlib.Path) -> None:
    data, index = (folder / f"{path.name}{ending}" for ending in (_DATA.format(0, 1), ".index"))
    there = path.with_name(index.name)
    if there.is_file() and shards(there.read_bytes()) == 1:  # the same, by the name of the first of two files
        spare = folder / f"{path.name}{_DATA.format(0, 2)}"
        _link(data, spare)
        spare.replace(path.with_name(spare.name))
        (folder / "index").write_bytes(with_shards(index.read_bytes(), 2))
        (folder / "index").replace(there)
    data.replace(path.with_name(data.name))
    index.replace(there)


def _data(path: pathlib.Path) -> list[pathlib.Path]:
    ending = re.compile(re.escape(path.name) + r"\.data-\d{5}-of-\d{5}")
    return [part for part in path.parent.iterdir() if ending.fullmatch(part.name)]


def _link(file: pathlib.Path, name: pathlib.Path) -> None:
    """A second name of a file, or where the system has none a copy."""
    try:
        os.link(file, name)
    except OSError:
        shutil.copyfile(file, name)
