"""What a file is, whatever its name says: by its first bytes."""

from __future__ import annotations

import pathlib

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
