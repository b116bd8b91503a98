"""The classes of a network, as rows of a WordNet id and names."""

from __future__ import annotations

import os
import pathlib
from collections.abc import Sequence

from slim_models import files

LISTS = ("imagenet", "tiny_imagenet")
Row = tuple[str, str]


def read_list(name: str) -> list[Row]:
    """A data set's classes, `("n02123159", "tiger cat")`, in the order of their WordNet ids.

    Args:
        name: `"imagenet"` (ILSVRC 2012, 1000 classes) or `"tiny_imagenet"` (200).

    Raises:
        KeyError: no such list.
    """
    path = files.carried(f"{name}.tsv")
    if path is None:
        raise KeyError(f"no list of classes {name!r}; the lists are {', '.join(LISTS)}")
    return [_row(line) for line in path.read_text(encoding="utf-8").splitlines()]


def class_rows(labels: str | os.PathLike | Sequence[str], num_classes: int) -> tuple[Row, ...]:
    """The classes that a user means.

    Args:
        labels: the name of a list, a text file with a name in every line (or a WordNet id, a tab and names), or
            the names.
        num_classes: C. A list may be one shorter: then class 0 is the background.

    Returns:
        C rows; the WordNet id is empty where there is none.

    Raises:
        FileNotFoundError: there is no such file, nor such a list.
        ValueError: there are more or fewer classes than C.
    """
    if isinstance(labels, str) and labels in LISTS:
        rows = read_list(labels)
    elif isinstance(labels, (str, os.PathLike)):
        rows = [_row(line) for line in _lines(pathlib.Path(labels))]
    else:
        rows = [("", str(name)) for name in labels]
    if len(rows) == num_classes - 1:
        rows = [("", "background"), *rows]
    if len(rows) != num_classes:
        raise ValueError(f"{len(rows)} labels for {num_classes} classes")
    return tuple(rows)


def _lines(path: pathlib.Path) -> list[str]:
    if not path.is_file():
        raise FileNotFoundError(
            f"no list of classes {str(path)!r}: the lists are {', '.join(LISTS)}, or give a file's path"
        )
    return path.read_text(encoding="utf-8").splitlines()


def _row(line: str) -> Row:
    wnid, tab, names = line.partition("\t")
    return (wnid, names) if tab else ("", line.strip())
