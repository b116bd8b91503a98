"""Folders -> the pictures in them, and what is left out."""

from __future__ import annotations

import collections
import os
import pathlib
import re
from collections.abc import Callable, Iterable, Iterator, Sequence

import numpy as np

from gradcam.pictures import arrays, images
from gradcam.pictures.provenance import read_provenance
from slim_models.mistakes import BadValue, MissingFile

_MOST_EXAMPLES = 200
_WRITTEN = re.compile(r".+\.(overlay|figure)\.(png|jpg|webp)")  # what `gradcam explain` writes may be so called


def expand(
    sources: Iterable[str],
    suffixes: Sequence[str] = images.SUFFIXES,
    *,
    recursive: bool = False,
    say: Callable[[str], object] | None = None,
) -> list[str]:
    """Files and samples as they are, folders replaced by the pictures in them, in order of name.

    Hidden files and what `gradcam explain` wrote are left out.

    Args:
        sources: files, samples and folders. An npy file of N pictures becomes N sources.
        suffixes: of the pictures in a folder.
        recursive: go into folders within folders.
        say: is told what was left out of each folder, by type, and of folders without pictures; None is silent.

    Raises:
        FileNotFoundError: a folder without pictures, if there is nobody to tell or there are no other pictures.
    """
    result: list[str] = []
    empty: list[str] = []
    for source in sources:
        if not pathlib.Path(source).is_dir():
            result += arrays.pictures_in(source)
            continue
        found, others = _listed(pathlib.Path(source), suffixes, recursive)
        result += [picture for path in found for picture in arrays.pictures_in(str(path))]
        left = ", ".join(_counted(kind, count) for kind, count in sorted(others.items()))
        if not found:
            empty.append(
                f"no pictures in {source}: looked for {', '.join(suffixes)}" + (f"; there are {left}" * bool(left))
            )
        elif left and say:
            say(f"{source}: {_counted('picture', len(found))}; left out: {left}")
    if empty and (not result or say is None):
        raise MissingFile("; ".join(empty))
    for line in empty:
        if say:
            say(line)
    return result


def _listed(
    folder: pathlib.Path, suffixes: Sequence[str], recursive: bool
) -> tuple[list[pathlib.Path], collections.Counter[str]]:
    """The pictures of a folder, and how many there are of everything else."""
    found, others = [], collections.Counter[str]()
    for path in _entries(folder, recursive):
        if path.is_dir():
            others["folder"] += 1
        elif path.suffix.lower() not in suffixes or path.name.startswith("."):  # ._cat.jpg is none, whatever its name
            others[_kind(path)] += 1
        elif _is_written(path):
            others["written by gradcam explain"] += 1
        else:
            found.append(path)
    return sorted(found), others


def _entries(folder: pathlib.Path, recursive: bool) -> Iterator[pathlib.Path]:
    """What is in a folder, or in the folders within it too, which are then not named; none of these is hidden."""
    if not recursive:
        yield from (path for path in folder.iterdir() if not (path.is_dir() and path.name.startswith(".")))
        return
    for here, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        yield from (pathlib.Path(here, name) for name in names)


def _counted(kind: str, count: int) -> str:
    """How many of a kind, in words."""
    words = {"picture": "pictures", "folder": "folders"}
    hint = " (--recursive)" if kind == "folder" else ""
    return f"{count} {words.get(kind, kind) if count > 1 else kind}{hint}"


def _kind(path: pathlib.Path) -> str:
    """What a file that is left out is called: its suffix, and which package would read it."""
    if path.name.startswith("."):
        return "hidden"
    suffix = path.suffix.lower()
    needed = images.NEEDED.get(suffix)
    return f"{suffix} ({needed})" if needed else suffix or "without a suffix"


def _is_written(path: pathlib.Path) -> bool:
    """Whether a picture is one that `gradcam explain` wrote."""
    if not _WRITTEN.fullmatch(path.name):
        return False
    try:
        return bool(read_provenance(path))
    except BadValue:
        return False


def read_classes(folder: str) -> list[tuple[np.ndarray, str]]:
    """Reads some pictures of known classes, each in a folder that has its class's name.

    Args:
        folder: of such folders.

    Returns:
        Pictures, uint8 `[h, w, 3]`, RGB, and their classes: of each class as many, the first in order of name, so that
        there are no more than 200, but one at least.

    Raises:
        FileNotFoundError: there is no such folder, none in it, or one without pictures.
        ValueError: a picture that cannot be read.
    """
    path = pathlib.Path(folder)
    classes = sorted(entry for entry in (path.iterdir() if path.is_dir() else ()) if entry.is_dir())
    if not classes:
        raise MissingFile(f"no folders in {folder}: examples are pictures in folders that are named by their classes")
    most = max(1, _MOST_EXAMPLES // len(classes))
    return [(images.read_image(file), of.name) for of in classes for file in expand([str(of)])[:most]]
