"""Files: where they lie, what stands in a file's place, and how they appear whole or not at all."""

from __future__ import annotations

import contextlib
import functools
import json
import os
import pathlib
import secrets
import shutil
import time
from collections.abc import Iterator
from typing import Any

from slim_models.locks import Lock
from slim_models.mistakes import BadValue, MissingFile

# An installed package has its files in `slim_models/embedded`, a checkout in `weights`.
_PACKAGE = pathlib.Path(__file__).parent
_CARRIED = [_PACKAGE / "embedded", _PACKAGE.parent / "weights"]
_DEEPEST = 100  # levels of JSON; Keras' models within models have some twenty
_WRITING, _LOCK, _DAY = ".writing-", ".lock", 86400  # of folders in which files are written; a day's seconds
_ZIP = b"PK\x03\x04"
_BEGINNINGS = (
    (b"\x93NUMPY", "an npy file"),
    (_ZIP, "a zip archive, such as npz"),
    (b"\x89HDF\r\n\x1a\n", "an HDF5 file"),
    (b"\x80", "a bare pickle"),
)
_ARCHIVES = (  # where in a file, what stands there, and what it is the mark of
    *((0, _ZIP, "a zip"), (0, b"\x1f\x8b", "a gzip"), (257, b"ustar", "a tar"), (0, b"BZh", "a bzip2")),
    *((0, b"\xfd7zXZ\x00", "an xz"), (0, b"7z\xbc\xaf\x27\x1c", "a 7z"), (0, b"Rar!\x1a\x07", "a rar")),
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


def in_package(name: str, suffix: str) -> pathlib.Path | None:
    """The file with that suffix in an installed package, none of whose code is imported; None if there is not one.

    Args:
        name: of the package, as it is installed by.
        suffix: of the only such file, `.pth`.
    """
    import importlib.metadata

    try:
        files = importlib.metadata.files(name) or []
    except importlib.metadata.PackageNotFoundError:
        return None
    found = [path for file in files if file.suffix == suffix and (path := pathlib.Path(file.locate())).is_file()]
    return found[0] if len(found) == 1 else None


def is_there(path: pathlib.Path) -> bool:
    """Whether there is a file, or a V2 checkpoint with that prefix."""
    return path.is_file() or path.with_name(f"{path.name}.index").is_file()


def kind(path: pathlib.Path) -> str:
    """What the file is, in words that follow 'it is'."""
    beginning = _first_bytes(path)
    known = next((name for mark, name in _BEGINNINGS if beginning.startswith(mark)), None)
    if known is None and (packed := archive(beginning)):
        known = f"{packed}, to be unpacked first"
    return impostor(path) or known or f"of no kind that is known here: it begins with {beginning[:16]!r}"


def archive(content: bytes) -> str | None:
    """Which archive a file is, `"a zip archive"`; None if it is none.

    Args:
        content: of the file, or its first 512 bytes.
    """
    return next((f"{name} archive" for place, mark, name in _ARCHIVES if content.startswith(mark, place)), None)


def impostor(path: pathlib.Path) -> str | None:
    """What stands there in place of a file of weights, in words that follow 'it is'; None for anything else."""
    beginning = _first_bytes(path)
    if not beginning:
        return "an empty file"
    text = beginning.removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    return next((name for bytes_, name in _IMPOSTORS if text.startswith(bytes_)), None)


def _first_bytes(path: pathlib.Path) -> bytes:
    with path.open("rb") as file:
        return file.read(512)


def read_text(path: pathlib.Path) -> str:
    """A text file, with or without a byte order mark.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the file is no UTF-8.
    """
    if not path.is_file():
        raise MissingFile(f"no file {path}")
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise BadValue(f"{path} is no text in UTF-8: {error}") from error


def parsed_json(text: str | bytes, what: str) -> Any:
    """What a text of others says in JSON.

    Args:
        text: of a file, or of a part of one.
        what: named in the error, which begins with it.

    Raises:
        ValueError: it is no JSON, or deeper than anything that makes sense, so that who walks through it gets to its
            end.
    """
    try:
        found = json.loads(text)
    except (ValueError, RecursionError, TypeError) as error:  # of UTF-8, too; and of what is no text at all
        raise BadValue(f"{what} is no JSON: {error}") from error
    level, depth = [found], 0
    while level:
        lists = [one.values() if isinstance(one, dict) else one for one in level if isinstance(one, (dict, list))]
        level, depth = [inner for one in lists for inner in one], depth + 1
        if depth > _DEEPEST:
            raise BadValue(f"{what} is JSON of more than {_DEEPEST} levels, which nothing here has")
    return found


@contextlib.contextmanager
def whole_file(path: str | os.PathLike) -> Iterator[pathlib.Path]:
    """A temporary name beside `path` to write to, renamed to `path` when the context ends well.

    Folders on the way are made. If the context raises, nothing is left and what stood at `path` stays.
    One file takes the place of an old one at once.
    """
    path = pathlib.Path(path)
    with workshop(path) as folder:
        yield folder / path.name
        for part in sorted(folder.iterdir()):
            part.replace(path.with_name(part.name))


@contextlib.contextmanager
def workshop(path: str | os.PathLike) -> Iterator[pathlib.Path]:
    """An empty folder beside `path`, so that what is made in it can be renamed; it goes when the context ends.

    Folders on the way are made, and what killed processes left there goes.
    """
    parent = pathlib.Path(path).absolute().parent
    parent.mkdir(parents=True, exist_ok=True)
    _clear_away(parent)
    while True:
        folder = parent / f"{_WRITING}{secrets.token_hex(8)}"
        lock = Lock(f"{folder}{_LOCK}")
        if lock.acquire():
            break
    try:
        folder.mkdir(0o700)
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        lock.release()


@functools.cache  # once: a folder can hold thousands of files, each of them written by a context of its own
def _clear_away(folder: pathlib.Path) -> None:
    """Removes what processes left in a folder when they were killed while they wrote a file: nobody has its lock."""
    for lock in folder.glob(f"{_WRITING}*{_LOCK}"):
        held = Lock(lock)
        with contextlib.suppress(OSError):
            if held.acquire(unknown=False):
                shutil.rmtree(folder / lock.name.removesuffix(_LOCK), ignore_errors=True)
                held.release()
    for left in folder.glob(f"{_WRITING}*"):  # of earlier versions, which had no locks
        with contextlib.suppress(OSError):
            old = time.time() - left.stat().st_mtime > _DAY
            if old and left.is_dir() and not left.with_name(f"{left.name}{_LOCK}").exists():
                shutil.rmtree(left, ignore_errors=True)
