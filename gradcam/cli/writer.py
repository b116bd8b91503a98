"""The files of `gradcam explain`: what is written of a picture and a class, and of what it says that it is made."""

from __future__ import annotations

import dataclasses
import itertools
import pathlib
from collections.abc import Collection, Mapping, Sequence
from typing import Any, NamedTuple

from gradcam import figures
from gradcam.cams import grad_cam
from gradcam.cli.naming import Naming
from gradcam.cli.predictions import made_otherwise, one_class, predicted
from gradcam.explanation import Explanation
from gradcam.methods import REGISTRY, why_blank
from gradcam.pictures import Photograph, write_npz, write_picture
from slim_models.labels import class_name
from slim_models.mistakes import BadValue

# What can be written -> the ReLU rules that the explainer needs for it.
OUTPUTS: dict[str, tuple[str, ...]] = {"overlay": (), "figure": ("guided",), "arrays": ("guided",)}
TOP = 5  # classes that are told of each picture


def rules_for(outputs: Collection[str]) -> list[str]:
    """The ReLU rules that some `OUTPUTS` need, each once."""
    return list(dict.fromkeys(rule for output in outputs for rule in OUTPUTS[output]))


class Picture(NamedTuple):
    """A picture that was read.

    Attributes:
        name: what the names of its files begin with.
        source: which one it is, as of `source_of`.
        photographs: the picture for each output that shows it.
        size: (height, width) of the whole picture.
    """

    name: str
    source: Mapping[str, Any]
    photographs: Mapping[str, Photograph]
    size: tuple[int, int]


class Written(NamedTuple):
    """Files that were written, below the folder; and sentences about maps that are blank."""

    files: list[str]
    blank: list[str]


class File(NamedTuple):
    """A file that is to be written of a picture and a class: where, and of what."""

    path: pathlib.Path
    layer: str
    method: str
    output: str


@dataclasses.dataclass(frozen=True)
class Writer:
    """Writes what is asked for of a picture and a class, for each layer and method; computes nothing else.

    Attributes:
        naming: of the files.
        outputs: keys of `OUTPUTS`.
        colormap: a key of `maps.COLORMAPS`.
        made: what all files were made of: `Explainer.provenance` and how pictures were fitted.
        force: write also over files that were made otherwise.
        top: how many of the likeliest classes files say.
        format: of overlays, a key of `pictures.FORMATS`.
        max_size: of an overlay's longer side in pixels; None leaves it the photograph's.
    """

    naming: Naming
    outputs: Collection[str]
    colormap: str
    made: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    force: bool = False
    top: int = TOP
    format: str = "png"
    max_size: int | None = None

    def files(self, name: str, target: int) -> list[File]:
        """The files of a picture of that name and a class."""
        suffixes = {"overlay": f"overlay.{self.format}", "figure": "figure.png", "arrays": "npz"}
        return [
            File(
                pathlib.Path(f"{self.naming.stem(name, target, layer, method)}.{suffixes[output]}"),
                layer,
                method,
                output,
            )
            for layer, method, output in itertools.product(self.naming.layers, self.naming.methods, self.outputs)
        ]

    @property
    def keeps_whole(self) -> bool:
        """Whether a file needs all pixels of a photograph."""
        return "overlay" in self.outputs and self.max_size is None

    def picture(self, name: str, source: Mapping[str, Any], photograph: Photograph) -> Picture:
        """What files need of a photograph once the network has been shown it, no larger than it has to be."""
        pixels = dataclasses.replace(photograph, array=None)
        sides = {"overlay": self.max_size, "figure": figures.LONGEST}
        shown = {output: side for output, side in sides.items() if output in self.outputs}
        photographs = {output: pixels.shrunk(side) if side else pixels for output, side in shown.items()}
        return Picture(name, source, photographs, photograph.frame.size)

    def provenance(self, source: Mapping[str, Any], target: int, file: File) -> dict[str, Any]:
        """What a file is made of, as far as it is known before anything is computed."""
        return {
            **self.made,
            **source,
            "target": target,
            "class": class_name(target, self.naming.labels),
            "layer": file.layer,
            "method": file.method,
            **({} if file.output == "arrays" else {"colormap": self.colormap}),
            **({"max_size": self.max_size} if file.output == "overlay" and self.max_size else {}),
        }

    def write(self, picture: Picture, explanation: Explanation) -> Written:
        """Writes the files of one picture and class.

        Args:
            picture: as of `picture`.
            explanation: of it alone.

        Raises:
            ValueError: a file is there that was made otherwise.
        """
        target = int(explanation.targets[0])
        files = self.files(picture.name, target)
        said = one_class(explanation, target, self.naming.labels)
        size = list(picture.size)
        told = {"size": size, "predicted": predicted(explanation, self.naming.labels, max(TOP, self.top)), **said}
        made = {file: {**self.provenance(picture.source, target, file), **told} for file in files}
        for file in files:
            del made[file]["index"]  # which is the target
            if not self.force and (how := made_otherwise(file.path, made[file])):
                raise in_the_way([(file.path, how)])
        blank: list[str] = []
        for (layer, method), group in itertools.groupby(files, lambda file: (file.layer, file.method)):
            blank += self._write(
                picture.photographs, explanation, layer, method, {f.output: (f, made[f]) for f in group}
            )
        return Written([file.path.relative_to(self.naming.folder).as_posix() for file in files], blank)

    def _write(
        self,
        photographs: Mapping[str, Photograph],
        explanation: Explanation,
        layer: str,
        word: str,
        files: Mapping[str, tuple[File, dict[str, Any]]],
    ) -> list[str]:
        """The files of a layer and method; what is to be told if the map is blank."""
        method = REGISTRY[word]
        cam = method.make(explanation, layer)[0]
        reason = "" if cam.any() else why_blank(explanation, method, layer)
        if reason:
            for _, made in files.values():
                made["blank"] = reason
        if "overlay" in files:
            file, made = files["overlay"]
            write_picture(file.path, photographs["overlay"].overlay_of(cam, self.colormap), made)
        if "figure" in files:
            file, made = files["figure"]
            photograph = photographs["figure"]
            figures.save_figure(self._figure(photograph, explanation, layer, word, reason), file.path, 150, made)
        if "arrays" in files:
            file, made = files["arrays"]
            everything = explanation.arrays(method.formula or grad_cam, layer)
            arrays: dict[str, Any] = {key: array[0] for key, array in everything.items()}
            write_npz(file.path, {**arrays, "cam": cam}, made)
        target = class_name(int(explanation.targets[0]), self.naming.labels)
        return [f"the map of {target!r} at {layer} ({word}) is blank: {reason}"] if reason else []

    def _figure(
        self, photograph: Photograph, explanation: Explanation, layer: str, word: str, reason: str
    ) -> figures.Figure:
        row = figures.panels(photograph, explanation, layer=layer, method=word, colormap=self.colormap)
        title = f"{self._title(explanation)}   {self.naming.network} {layer}"
        if reason:
            blank = REGISTRY[word].title
            row = {f"{name} (blank)" if blank in name else name: panel for name, panel in row.items()}
            title += f"\nthe map is blank: {reason}"
        return figures.grid([list(row.items())], [""], title)

    def _title(self, explanation: Explanation) -> str:
        target = int(explanation.targets[0])
        said = explanation.said[0, target]
        number = f"{said:.4g}" if explanation.head == "linear" else f"{said:.1%}"
        if explanation.head == "linear" and explanation.one_output:  # the number is no class's
            return f"{number}: {class_name(target, self.naming.labels)}"
        return f"{class_name(target, self.naming.labels)}: {number}"


def in_the_way(others: Sequence[tuple[pathlib.Path, str]]) -> BadValue:
    """The error that files are there that were made otherwise: which, and in what."""
    path, how = others[0]
    rest = f", and {len(others) - 1} more" if len(others) > 1 else ""
    return BadValue(f"there already and made otherwise: {path} ({how}){rest}: give another --out or --name, or --force")
