"""The names of a network's classes: the user's, or those that lie beside its file."""

from __future__ import annotations

import os
import pathlib
from typing import Any

from slim_models.labels import Labels, labels_for, list_for
from slim_models.loading.assembly import Plan
from slim_models.loading.passes import Say
from slim_models.mistakes import BadValue

_NAMES = (
    *("labels.txt", "retrained_labels.txt", "output_labels.txt", "class_names.txt", "classes.txt", "class_labels.txt"),
    *("labels_map.txt", "imagenet_classes.txt", "synset.txt", "synset_words.txt", "dict.txt"),
    *("labels.json", "classes.json", "class_names.json", "class_indices.json", "class_index.json"),
    *("imagenet_class_index.json", "label_map.json", "labels_map.json"),
)
_MOST_BYTES = 2**20  # of a list of classes under any name
_DIRECTIONS = ("lower", "higher")  # the two that the only number a network says is explained in
_MOST = 0.9  # the part of ImageNet's names beyond which a list is ImageNet's


def class_names(given: Any, path: Any, found: Plan, say: Say) -> Labels | None:
    """The classes' names: the user's, those beside the file or in the graph, ImageNet's; of one number, its directions.

    Args:
        given: what the user says, as `labels_for` takes it; None is nothing.
        path: what is loaded.
        found: what is to be imported of it.
        say: is told what was found.

    Raises:
        FileNotFoundError, ValueError: as of `labels_for`.
    """
    beside = names_beside(path, found.num_classes, say) if given is None else None
    if beside is not None:
        return beside
    if given is None and found.names is not None:
        say(f"labels: {len(found.names)} names (found: the table in which the graph looks up what it predicts)")
        return _with_wnids(labels_for(found.names, found.num_classes))
    if given is None and found.num_classes in (1000, 1001):
        background = ", the first being the background" if found.num_classes == 1001 else ""
        say(f"labels: imagenet (guessed: {found.num_classes} classes{background})")
        given = "imagenet"
    if given is None and found.one_output and found.head == "linear":
        given = _DIRECTIONS
    return None if given is None else labels_for(given, found.num_classes)


def names_beside(given: Any, num_classes: int, say: Say) -> Labels | None:
    """The names of a network's classes, if a file beside it has as many.

    Args:
        given: what is loaded; only a path has anything beside it.
        num_classes: C.
        say: is told what was found, and what does not fit.

    Returns:
        The names; None if there are none, or files beside it say different things.
    """
    fitting: dict[str, Labels] = {}
    for path in _files(given):
        try:
            fitting[path.name] = labels_for(path, num_classes)
        except BadValue as error:
            say(f"labels: not those in {path.name} beside it ({str(error).replace(str(path), path.name)})")
    if len({labels.names for labels in fitting.values()}) > 1:
        say(f"labels: none ({' and '.join(fitting)} beside it differ; give one of them as labels)")
        return None
    for name, labels in fitting.items():
        say(f"labels: {name} beside it (found: {len(labels.names)} names)")
        return _with_wnids(labels)
    return None


def _files(given: Any) -> list[pathlib.Path]:
    """Files of such names in the folder of a file; of a folder, in it, or beside it, or else any text of its assets.

    Those that begin with the file's own name, `flowers_labels.txt` of `flowers.pb`, come before the others.
    """
    if not isinstance(given, (str, os.PathLike)):
        return []
    path = pathlib.Path(given)
    places = [path, path / "assets", path.absolute().parent] if path.is_dir() else [path.parent]
    own = [f"{path.stem}{between}{name}" for name in _NAMES for between in "_-."]
    found = [
        [place / name for name in names if (place / name).is_file()] for place in places for names in (own, _NAMES)
    ]
    assets = sorted((path / "assets").glob("*.txt"))
    found.append([file for file in assets if file.is_file() and file.stat().st_size <= _MOST_BYTES])
    return next((files for files in found if files), [])


def _with_wnids(labels: Labels) -> Labels:
    """ImageNet's classes under the names that the file has for them, by which photographs are recognised."""
    imagenet = list_for("imagenet", len(labels.names))
    if imagenet is None or any(labels.wnids):
        return labels
    pairs = zip(labels.names, imagenet.names)
    same = sum(mine.lower().split(", ")[0] in theirs.lower().split(", ") for mine, theirs in pairs)
    return Labels(imagenet.wnids, labels.names) if same > _MOST * len(labels.names) else labels
