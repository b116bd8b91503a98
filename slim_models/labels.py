"""Class names <-> indices, and the lists of classes that the project carries."""

from __future__ import annotations

import collections
import dataclasses
import difflib
import functools
import os
import pathlib
import re
from collections.abc import Sequence
from typing import Any

import numpy as np

import slim_models
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


@dataclasses.dataclass(frozen=True)
class Labels:
    """The classes of a data set, in the order of the logits.

    Attributes:
        wnids: WordNet ids, `"n02123159"`; empty where a class has none.
        names: all of a class's names, separated by commas, as WordNet has them.
    """

    wnids: tuple[str, ...]
    names: tuple[str, ...]

    def index(self, query: str) -> int:
        """The class that a word means.

        Args:
            query: an index in digits, a WordNet id, or any one of a class's names (case does not
                matter).

        Returns:
            The index, starting at 0.

        Raises:
            KeyError: no class, or several classes, have that name; the message lists candidates.
        """
        word = " ".join(query.split()).lower()
        if word.isdecimal():
            return self._in_range(int(word), query)
        if word and word in self.wnids:
            return self.wnids.index(word)
        found = [i for i, names in enumerate(self.names) if word in (names.lower(), *names.lower().split(", "))]
        if len(found) == 1:
            return found[0]
        if found:
            raise KeyError(f"{query!r} names {len(found)} classes; give one's number: {self._list(found)}")
        similar = self._similar(word)
        hint = f"; similar: {self._list(similar)}" if similar else ""
        raise KeyError(f"no class {query!r} among {len(self.names)}{hint}")

    def name(self, index: int) -> str:
        """The first of a class's names."""
        return self.names[index].split(", ")[0]

    def file_name(self, index: int) -> str:
        """The class's name as a part of a file's name, with the index where another class has that name."""
        return self._file_names[index]

    @functools.cached_property
    def _file_names(self) -> list[str]:
        words = [re.sub(r"\W+", "_", names.split(", ")[0]) for names in self.names]
        counts = collections.Counter(map(str.lower, words))
        return [f"{word}_{i}" if counts[word.lower()] > 1 else word for i, word in enumerate(words)]

    def _similar(self, word: str) -> list[int]:
        """Classes with the word among their words ('cat'), or else spelled like it."""
        with_word = [i for i, names in enumerate(self.names) if f" {word} " in f" {names.lower().replace(',', ' ')} "]
        if with_word:
            return with_word
        by_name = {name: i for i, names in enumerate(self.names) for name in names.lower().split(", ")}
        return sorted({by_name[name] for name in difflib.get_close_matches(word, by_name)})

    def _in_range(self, index: int, query: str) -> int:
        if index >= len(self.names):
            raise KeyError(f"no class {query}; the classes are 0 to {len(self.names) - 1}")
        return index

    def _list(self, indices: list[int], most: int = 10) -> str:
        listed = ", ".join(f"{i} ({f'{self.wnids[i]}: '.removeprefix(': ')}{self.names[i]})" for i in indices[:most])
        return listed + (f" and {len(indices) - most} more" if len(indices) > most else "")


def read_labels(name: str) -> Labels:
    """Reads the list of a data set's classes.

    Args:
        name: `"imagenet"` (ILSVRC 2012, 1000 classes) or `"tiny_imagenet"` (200).

    Returns:
        Its classes, in the order of their WordNet ids.

    Raises:
        KeyError: no such list.
    """
    return _labels(read_list(name))


def class_index(target: int | str, num_classes: int, labels: Labels | None = None) -> int:
    """The index of a class however it is given.

    Args:
        target: an index, or a word that `Labels.index` knows.
        num_classes: C.
        labels: of the C classes; None allows only indices.

    Returns:
        The index, 0 to C - 1.

    Raises:
        KeyError: a name of no class or of several.
        ValueError: an index out of range, or no index at all.
    """
    if isinstance(target, str) and labels is not None:
        return labels.index(target)
    if isinstance(target, str) and not target.isdecimal():
        raise KeyError(f"the network's classes have no names; give the class {target!r} by its index")
    if isinstance(target, bool) or not isinstance(target, (str, int, np.integer)):
        raise ValueError(f"a target is an index or a name, not {target!r}")
    # One-hot coding would turn an index out of range into zero gradients without a word.
    if not 0 <= int(target) < num_classes:
        raise ValueError(f"target {target} is out of range: classes are 0 to {num_classes - 1}")
    return int(target)


def class_indices(targets: Any, count: int, num_classes: int, labels: Labels | None = None) -> np.ndarray:
    """One class for all images or one for each -> int64 `[count]`; errors as `class_index`'s."""
    given = [targets] * count if np.ndim(targets) == 0 else targets
    if len(given) != count:
        raise ValueError(f"{len(given)} targets for {count} images: give one for all, or one for each")
    return np.array([class_index(target, num_classes, labels) for target in given], np.int64)


def class_name(index: int, labels: Labels | None) -> str:
    """The first of a class's names, or `class 7` where the classes have none."""
    return labels.name(index) if labels else f"class {index}"


def labels_of(network: slim_models.Network) -> Labels | None:
    """The classes of a network, if it knows them itself, or is one of ours with as many as its list has.

    Returns:
        The classes, the background before those of the list if there is one more; None if they are not known.
    """
    rows = network.labels
    entry = slim_models.NETWORKS.get(network.name)
    if rows is None and entry is not None and network.num_classes - len(read_list(entry.labels)) in (0, 1):
        rows = class_rows(entry.labels, network.num_classes)
    return None if rows is None else _labels(rows)


def _labels(rows: Sequence[tuple[str, str]]) -> Labels:
    return Labels(*map(tuple, zip(*rows)))
