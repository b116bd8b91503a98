"""Files that appear whole or not at all."""

from __future__ import annotations

import contextlib
import os
import pathlib
import tempfile
from collections.abc import Iterator


@contextlib.contextmanager
def whole_file(path: str | os.PathLike) -> Iterator[pathlib.Path]:
    """A temporary name beside `path` to write to, renamed to `path` when the context ends well.

    A V2 checkpoint is several files that begin with that name; they are renamed too, the index last.
    Folders on the way are made. If the context raises, nothing is left and what stood at `path` stays.
    """
    path = pathlib.Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".writing-", dir=path.parent) as folder:
        yield pathlib.Path(folder) / path.name
        # Sorted: `.data-00000-of-00001` before `.index`, without which TensorFlow sees no checkpoint.
        for temporary in sorted(pathlib.Path(folder).iterdir()):
            temporary.replace(path.with_name(temporary.name))
