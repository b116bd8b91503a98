"""Files: where they lie, what stands in a file's place, and how they appear whole or not at all."""

from __future__ import annotations

import contextlib
import functools
import os
import pathlib
import platform
import re
import shutil
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

    Folders on the way are made. If the context raises, nothing is left and what stood at `path` stays.
    One file takes the place of an old one at once.

    A V2 checkpoint is several files that begin with that name, and no renaming of several is done at once:
    what makes an old checkpoint one goes first, the new index comes last. Whoever reads in between, or after
    a process that ended there, finds no checkpoint rather than new data under an old index.
    """
    path = pathlib.Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    _clear_away(path.parent.absolute())
    with tempfile.TemporaryDirectory(prefix=f"{_beginning()}{os.getpid()}-", dir=path.parent) as folder:
        yield pathlib.Path(folder) / path.name
        # Sorted: `.data-00000-of-00001` before `.index`, without which TensorFlow sees no checkpoint.
        parts = sorted(pathlib.Path(folder).iterdir())
        if len(parts) > 1:
            for old in (path.with_name(parts[-1].name), path):  # an index; a V1 checkpoint, which is a single file
                if old.is_file():
                    old.unlink()
        for part in parts:
            part.replace(path.with_name(part.name))


@functools.cache  # once: a folder can hold thousands of files, each of them written by a context of its own
def _clear_away(folder: pathlib.Path) -> None:
    """Removes what processes of this machine left in a folder when they were killed while they wrote a file."""
    if os.name == "nt":  # no process is seen there, not even one that is writing
        return
    for left in folder.glob(f"{_beginning()}*"):
        match = re.fullmatch(r"(\d+)-\w+", left.name.removeprefix(_beginning()))
        if match and not is_running(match[1]):
            shutil.rmtree(left, ignore_errors=True)


@functools.cache
def _beginning() -> str:
    """How temporary folders begin whose processes can be seen from here: their numbers come next.

    It names the machine and, on Linux, its namespace of processes: containers can share a name and a folder, and
    do not see each other's processes.
    """
    namespace = 0
    with contextlib.suppress(OSError):
        namespace = pathlib.Path("/proc/self/ns/pid").stat().st_ino
    machine = re.sub(r"[^A-Za-z0-9.]", "_", platform.node())[:64]
    return f".writing-{machine}-{namespace}-"


def is_running(process: str) -> bool:
    """Whether there is a process of that number; on Windows, where asking would end it, none is seen."""
    if os.name == "nt" or not process.isdecimal():
        return False
    try:
        os.kill(int(process), 0)
    except (OSError, OverflowError) as error:
        return isinstance(error, PermissionError)
    return True
