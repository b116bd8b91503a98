"""Files: where they lie, what stands in a file's place, and how they appear whole or not at all."""

from __future__ import annotations

import contextlib
import os
import pathlib
import tempfile
from collections.abc import Iterator

# An installed package has its files in `slim_models/embedded`, a checkout in `weights`.
_PACKAGE = pathlib.Path(__file__).parent
_CARRIED = [_PACKAGE / "embedded", _PACKAGE.parent / "weights"]
_BEGINNINGS = (
    (b"\x93NUMPY", "an npy file"),
    (b"PK\x03\x04", "a zip archive, such as npz"),
    (b"\x89HDF\r\n\x1a\n", "an HDF5 file"),
    (b"\x1f\x8b", "a gzip archive, such as .tar.gz, to be unpacked first"),
    (b"\x80", "a bare pickle"),
)
# What stands in a file's place when fetching it went wrong.
_IMPOSTORS = (
    (b"<!doctype html", "an HTML page, which is what a dead link gives"),
    (b"<html", "an HTML page, which is what a dead link gives"),
    (b"<?xml", "a server's XML answer, which is what a dead link gives"),
    (b"version https://git-lfs", "a Git LFS pointer, not the file itself, which 'git lfs pull' fetches"),
)


def folders() -> list[pathlib.Path]:
    """Where files are looked for, in order: `$GRADCAM_WEIGHTS`, `./weights`, what the project carries."""
    chosen = os.environ.get("GRADCAM_WEIGHTS")
    return [pathlib.Path(place) for place in (chosen, "weights") if place] + _CARRIED


def find(name: str) -> pathlib.Path | None:
    """The first folder's file of that name (for a V2 checkpoint: its prefix); None if no folder has it."""
    return _first(name, folders())


def carried(name: str) -> pathlib.Path | None:
    """The project's own file of that name, which no folder of the user's can shadow."""
    return _first(name, _CARRIED)


def _first(name: str, places: list[pathlib.Path]) -> pathlib.Path | None:
    for folder in places:
        if is_there(folder / name):
            return folder / name
    return None


def is_there(path: pathlib.Path) -> bool:
    """Whether there is a file, or a V2 checkpoint with that prefix."""
    return path.is_file() or path.with_name(f"{path.name}.index").is_file()


def kind(path: pathlib.Path) -> str:
    """What the file is, in words that follow 'it is'."""
    beginning = _first_bytes(path)
    known = [name for bytes_, name in _BEGINNINGS if beginning.startswith(bytes_)]
    return impostor(path) or (
        known[0] if known else f"of no kind that is known here: it begins with {beginning[:16]!r}"
    )


def impostor(path: pathlib.Path) -> str | None:
    """What stands there in place of a file of weights, in words that follow 'it is'; None for anything else."""
    beginning = _first_bytes(path)
    if not beginning:
        return "an empty file"
    text = beginning.removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    return next((name for bytes_, name in _IMPOSTORS if text.startswith(bytes_)), None)


def _first_bytes(path: pathlib.Path) -> bytes:
    with path.open("rb") as file:
        return file.read(64)


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
