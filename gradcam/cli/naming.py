"""What the files of `gradcam explain` are called: by everything in which a run differs from the usual."""

from __future__ import annotations

import dataclasses
import pathlib
import re
import string
from collections.abc import Iterable, Mapping, Sequence

import slim_models
from gradcam.pictures import FITS
from gradcam.targets import Asked, file_name
from slim_models.labels import Labels
from slim_models.mistakes import BadValue, UnknownName

METHOD = "grad_cam"  # unless another is asked for
FIELDS = ("picture", "class", "index", "layer", "method", "network", "weights", "fit")  # of a pattern


@dataclasses.dataclass(frozen=True)
class Naming:
    """The names of a run's files.

    Attributes:
        folder: of the files.
        layers: that were explained.
        methods: keys of `methods.REGISTRY`.
        network: its name.
        labels: of its classes, if they are known.
        weights: what tells the network's weights from others.
        fit: `"stretch"` or `"crop"`.
        usual_layer: the layer that is not said if it is the only one.
        pattern: the names with fields in braces; None says all that is not the default.
    """

    folder: pathlib.Path
    layers: Sequence[str]
    methods: Sequence[str]
    network: str
    labels: Labels | None = None
    weights: str = ""
    fit: str = FITS[0]
    usual_layer: str = ""
    pattern: str | None = None

    def stem(self, picture: str, target: Asked, layer: str, method: str) -> pathlib.Path:
        """What the names of the files of a picture, class, layer and method begin with."""
        fields = {
            "picture": picture,
            "class": file_name(target, self.labels),
            "index": file_name(target, None).replace("class_", ""),
            "layer": _word(layer),
            "method": method,
            "network": _word(self.network),
            "weights": self.weights,
            "fit": self.fit,
        }
        if self.pattern is not None:
            return self.folder / self.pattern.format(**fields)
        return self.folder / ".".join([picture, fields["class"], *self._unusual([layer], [method])])

    def table(self) -> pathlib.Path:
        """The name of the table of a run's predictions, without a suffix; whatever the pattern."""
        return self.folder / ".".join(["predictions", *self._unusual(self.layers, self.methods)])

    def check(self, pictures: int, targets: int) -> None:
        """Whether a pattern tells the files of one run apart.

        Raises:
            ValueError: it does not, or it leads out of the folder.
            KeyError: there is no such field.
        """
        if self.pattern is None:
            return
        there = fields_of(self.pattern)
        several = {
            "picture": (pictures, {"picture"}),
            "class": (targets, {"class", "index"}),
            "layer": (len(self.layers), {"layer"}),
            "method": (len(self.methods), {"method"}),
        }
        for field, (count, any_of) in several.items():
            if count > 1 and not any_of & there:
                raise BadValue(f"--name {self.pattern!r} gives several files one name: it needs {{{field}}}")

    def _unusual(self, layers: Sequence[str], methods: Sequence[str]) -> list[str]:
        """What is said of a run beside picture and class."""
        parts = []
        if len(self.layers) > 1 or list(layers) != [self.usual_layer]:
            parts.append("+".join(map(_word, layers)))
        if len(self.methods) > 1 or list(methods) != [METHOD]:
            parts.append("+".join(methods))
        parts += [_word(self.network)] * (self.network != slim_models.DEFAULT_NETWORK)
        return parts + [self.fit] * (self.fit != FITS[0])


def fields_of(pattern: str) -> set[str]:
    """The fields of a pattern of names.

    Raises:
        KeyError: there is no such field.
        ValueError: it is no pattern, or it leads out of the folder.
    """
    known = ", ".join(f"{{{field}}}" for field in FIELDS)
    try:
        parts = list(string.Formatter().parse(pattern))
    except ValueError as error:
        raise BadValue(f"--name {pattern!r} is no pattern such as {{picture}}.{{class}}: {error}") from error
    fields = {field for _, field, _, _ in parts if field is not None}
    for field in fields - set(FIELDS):
        raise UnknownName(f"--name has no field {{{field}}}; the fields are {known}")
    if any(form or conversion for _, _, form, conversion in parts):
        raise BadValue(f"--name {pattern!r}: fields have no formats; they are {known}")
    path = pathlib.PurePath(pattern)
    if not path.name or path.is_absolute() or ".." in path.parts or pattern.endswith(("/", "\\")):
        raise BadValue(f"--name {pattern!r} is no name within --out")
    return fields


def names_of(sources: Iterable[str], stems: Mapping[str, str]) -> dict[str, str]:
    """A name for each source, numbered if an earlier one has it: a/ok.jpg and b/ok.jpg are `ok` and `ok-2`.

    Args:
        sources: in their order; one that is given twice is one.
        stems: source -> what it would be called alone.
    """
    result: dict[str, str] = {}
    taken: set[str] = set()
    for source in dict.fromkeys(sources):
        name, number = stems[source], 2
        while name.lower() in taken:  # some file systems do not tell cat.jpg from Cat.jpg
            name, number = f"{stems[source]}-{number}", number + 1
        taken.add(name.lower())
        result[source] = name
    return result


def _word(text: str) -> str:
    """A name as part of a file's name."""
    return re.sub(r"[^\w.-]+", "_", text)
