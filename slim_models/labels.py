"""Class names <-> indices, and the lists of classes that the project carries."""

from __future__ import annotations

import collections
import dataclasses
import difflib
import functools
import os
import pathlib
import re
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from slim_models import files
from slim_models.mistakes import BadValue, MissingFile, UnknownName

LISTS = {"imagenet": "ImageNet", "tiny_imagenet": "Tiny ImageNet"}  # name -> what papers call the data set
_KNOWN_BY = {"imagenet": "efficientnet_lite0", "tiny_imagenet": "resnet_v1_50_tiny"}  # for one, of our networks
_ALIKE = 0.8  # share of letters: names that are less so have nothing to do with what was meant


@dataclasses.dataclass(frozen=True)
class Labels:
    """The classes of a data set, in the order of the logits.

    Attributes:
        wnids: WordNet ids, `"n02123159"`; empty where a class has none.
        names: all of a class's names, separated by commas, as WordNet has them.
    """

    wnids: tuple[str, ...]
    names: tuple[str, ...]

    def index(self, query: str, network: str | None = None) -> int:
        """The class that a word means.

        Args:
            query: an index in digits, a WordNet id, or any one of a class's names (case does not
                matter).
            network: the name of the one whose classes they are, for the message.

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
        found = self._named(word)
        if len(found) == 1:
            return found[0]
        if found:
            raise UnknownName(f"{query!r} names {len(found)} classes; give one's number: {self._list(found)}")
        similar = self._similar(word)
        hint = f"; similar: {self._list(similar)}" if similar else ""
        others = "" if network is None else self._elsewhere(word)
        raise UnknownName(f"no class {query!r} among {self._described(network)}{others}{hint}")

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

    def _named(self, word: str) -> list[int]:
        return [i for i, names in enumerate(self.names) if word in (names.lower(), *names.lower().split(", "))]

    def _similar(self, word: str) -> list[int]:
        """Classes with the word among their words ('cat'), or else spelled like it, or with one of its words."""
        with_word = [i for i, names in enumerate(self.names) if f" {word} " in f" {names.lower().replace(',', ' ')} "]
        if with_word:
            return with_word
        by_name = {name: i for i, names in enumerate(self.names) for name in names.lower().split(", ")}
        words = {part for part in word.split() if len(part) > 2}
        sharing = [name for name in by_name if words & {*name.split()}]
        alike = difflib.get_close_matches(word, by_name, cutoff=_ALIKE)
        return sorted({by_name[name] for name in alike or difflib.get_close_matches(word, sharing, 5, _ALIKE / 1.5)})

    def _described(self, network: str | None) -> str:
        """How many they are, and whose: `the 200 of resnet_v1_50_tiny (Tiny ImageNet)`."""
        if network is None:
            return str(len(self.names))
        titles = [title for name, title in LISTS.items() if list_for(name, len(self.names)) == self]
        return f"the {len(self.names)} of {network}{f' ({titles[0]})' if titles else ''}"

    def _elsewhere(self, word: str) -> str:
        """Which of the project's networks have a class that these have not."""
        lists = {name: read_labels(name) for name in LISTS}
        having = [name for name, labels in lists.items() if word and (word in labels.wnids or labels._named(word))]
        return "".join(f"; {LISTS[name]}'s networks have it: --network {_KNOWN_BY[name]}, for one" for name in having)

    def _in_range(self, index: int, query: str) -> int:
        if index >= len(self.names):
            raise UnknownName(f"no class {query}; the classes are 0 to {len(self.names) - 1}")
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
    path = files.carried(f"{name}.tsv")
    if path is None:
        raise UnknownName(f"no list of classes {name!r}; the lists are {', '.join(LISTS)}")
    return _labels(map(_row, path.read_text(encoding="utf-8").splitlines()))


def labels_for(given: str | os.PathLike | Sequence[str] | Labels, num_classes: int) -> Labels:
    """The classes that a user means.

    Args:
        given: the name of a list; a text file with a name in every line, with or without its number before it (or a
            WordNet id, alone or with names behind it); a JSON file with a list of names, or an object of names by
            index or of indices by name; or the names.
        num_classes: C. Of 1001 classes the first is ImageNet's background, if there are only 1000 names.

    Raises:
        FileNotFoundError: there is no such file, nor such a list.
        ValueError: there are more or fewer names than classes, or a file that is no text in UTF-8 or has an empty line.
    """
    labels = names_given(given)
    count = len(labels.names)
    if (count, num_classes) == (1000, 1001):
        return Labels(("", *labels.wnids), ("background", *labels.names))
    if count != num_classes:
        where = f" in {os.fspath(given)}" if isinstance(given, (str, os.PathLike)) else ""
        raise BadValue(f"{count} labels{where} for {num_classes} classes")
    return labels


@functools.cache
def _imagenets() -> dict[str, str]:
    """The names of ImageNet's classes by their WordNet ids."""
    labels = read_labels("imagenet")
    return dict(zip(labels.wnids, labels.names))


def names_given(given: str | os.PathLike | Sequence[str] | Labels) -> Labels:
    """The classes that a user means, however many there should be; arguments and errors as of `labels_for`."""
    if isinstance(given, Labels):
        return given
    if isinstance(given, str) and given in LISTS:
        return read_labels(given)
    if isinstance(given, (str, os.PathLike)):
        return _read(pathlib.Path(given))
    return _labels(("", str(name)) for name in given)


def list_for(name: str, num_classes: int) -> Labels | None:
    """The list of that name, if it has as many classes, the background before them counted; None otherwise."""
    labels = read_labels(name)
    fits = num_classes == len(labels.names) or (len(labels.names), num_classes) == (1000, 1001)
    return labels_for(labels, num_classes) if fits else None


def _read(path: pathlib.Path) -> Labels:
    if path.is_file() and (path.suffix.lower() == ".json" or _is_object(path)):
        return _labels(("", name) for name in _of_json(path))
    return _labels(map(_row, _unnumbered(_lines(path))))


def _is_object(path: pathlib.Path) -> bool:
    """Whether a text is JSON all the same, as EfficientNet's `labels_map.txt`."""
    with path.open("rb") as file:
        return re.match(rb'(\xef\xbb\xbf)?\s*\{\s*"', file.read(64)) is not None


def _unnumbered(lines: list[str]) -> list[str]:
    """Lines `0 cat`, `1 dog` without their numbers, if all have theirs in order."""
    matches = [re.fullmatch(r"\s*(\d+)(?:\s*[:,;]\s*|\s+)(\S.*)", line) for line in lines]
    numbered = all(match is not None and int(match[1]) == place for place, match in enumerate(matches))
    return [match[2] for match in matches if match] if numbered else lines


def _of_json(path: pathlib.Path) -> list[str]:
    """The names in a JSON file, in the order of their indices.

    Raises:
        ValueError: it holds neither names nor their indices.
    """
    found = files.parsed_json(files.read_text(path), str(path))
    if isinstance(found, dict):
        by_name = all(isinstance(index, int) for index in found.values())
        pairs = [(str(index), name) for name, index in found.items()] if by_name else list(found.items())
        by_index = dict(pairs)
        if sorted(by_index) != sorted(map(str, range(len(found)))):
            raise BadValue(f"{path} gives the classes other indices than 0 to {len(found) - 1}")
        found = [by_index[str(index)] for index in range(len(found))]
    # Keras writes [WordNet id, name].
    names = [name[-1] if isinstance(name, list) and name else name for name in found] if isinstance(found, list) else []
    if not names or not all(isinstance(name, str) for name in names):
        raise BadValue(f"{path} holds no names of classes: a list of them, or an object with indices, was expected")
    return names


def _lines(path: pathlib.Path) -> list[str]:
    """The lines of a text file, with or without a byte order mark, less empty ones at its end."""
    if not path.is_file():
        raise MissingFile(f"no list of classes {str(path)!r}: the lists are {', '.join(LISTS)}, or give a file's path")
    lines = files.read_text(path).rstrip().splitlines()
    for number, line in enumerate(lines, 1):
        if not line.strip():
            raise BadValue(f"{path}:{number}: the line is empty; a class's name was expected")
    return lines


def _row(line: str) -> tuple[str, str]:
    """WordNet id, or nothing, and names: `n02123159<tab>tiger cat`, Caffe's `n02123159 tiger cat`, or an id alone."""
    wnid, tab, names = line.partition("\t")
    if tab:
        return wnid, names.strip()
    match = re.fullmatch(r"\s*(n\d{8})(?:\s+(\S.*?))?\s*", line)
    if match is None:
        return "", line.strip()
    return match[1], match[2] or _imagenets().get(match[1], match[1])


def _labels(rows: Iterable[tuple[str, str]]) -> Labels:
    wnids, names = zip(*rows) if (rows := list(rows)) else ((), ())
    return Labels(wnids, names)


def class_index(target: int | str, num_classes: int, labels: Labels | None = None, network: str | None = None) -> int:
    """The index of a class however it is given.

    Args:
        target: an index, or a word that `Labels.index` knows.
        num_classes: C.
        labels: of the C classes; None allows only indices.
        network: the name of the one whose classes they are, for the message.

    Returns:
        The index, 0 to C - 1.

    Raises:
        KeyError: a name of no class or of several.
        ValueError: an index out of range, or no index at all.
    """
    if isinstance(target, str) and labels is not None:
        return labels.index(target, network)
    if isinstance(target, str) and not target.isdecimal():
        raise UnknownName(f"the network's classes have no names; give the class {target!r} by its index")
    if isinstance(target, bool) or not isinstance(target, (str, int, np.integer)):
        raise BadValue(f"a target is an index or a name, not {target!r}")
    # One-hot coding would turn an index out of range into zero gradients without a word.
    if not 0 <= int(target) < num_classes:
        raise BadValue(f"target {target} is out of range: classes are 0 to {num_classes - 1}")
    return int(target)


def class_indices(
    targets: Any, count: int, num_classes: int, labels: Labels | None = None, network: str | None = None
) -> np.ndarray:
    """One class for all images or one for each -> int64 `[count]`; errors as `class_index`'s."""
    given = one_each(targets, count)
    return np.array([class_index(target, num_classes, labels, network) for target in given], np.int64)


def one_each(targets: Any, count: int) -> Sequence[Any]:
    """One target for all images, or one for each -> one for each.

    Raises:
        ValueError: there are more or fewer than images.
    """
    given = [targets] * count if np.ndim(targets) == 0 else targets
    if len(given) != count:
        raise BadValue(f"{len(given)} targets for {count} images: give one for all, or one for each")
    return given


def class_name(index: int, labels: Labels | None) -> str:
    """The first of a class's names, or `class 7` where the classes have none."""
    return labels.name(index) if labels else f"class {index}"


Given = str | os.PathLike | Sequence[str] | Labels | None  # what `labels_for` takes, or nothing
