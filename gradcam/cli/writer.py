"""The files of `gradcam explain`: what is written of a picture and a class, and of what it says that it is made."""

from __future__ import annotations

import dataclasses
import itertools
import pathlib
from collections.abc import Collection, Hashable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from gradcam import figures
from gradcam.cams import grad_cam
from gradcam.cli.naming import Naming
from gradcam.cli.predictions import doubt, made_otherwise, one_class, predicted
from gradcam.explanation import Explanation
from gradcam.maps import Look
from gradcam.methods import methods_named, why_blank
from gradcam.pictures import KEY, Photograph, write_json, write_npz, write_picture
from gradcam.targets import Asked, subject, title, told
from slim_models.mistakes import BadValue

if TYPE_CHECKING:
    from gradcam.events import Events

# What can be written -> the ReLU rules that the explainer needs for it.
OUTPUTS: dict[str, tuple[str, ...]] = {"overlay": (), "figure": ("guided",), "arrays": ("guided",)}
CHECK = "check"  # the output of `--check`, which no other flag asks for
TOP = 5  # classes that are told of each picture


def rules_for(outputs: Collection[str]) -> list[str]:
    """The ReLU rules that some `OUTPUTS` need, each once."""
    return list(dict.fromkeys(rule for output in outputs for rule in OUTPUTS[output]))


Peaks = Mapping[tuple[str, str], float]  # layer and method -> what is as hot as can be in their maps


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
    """Files that were written, below the folder; sentences about maps that are blank; lines of what was checked."""

    files: list[str]
    blank: list[str]
    checks: Sequence[str] = ()


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
        look: of heat maps.
        made: what all files were made of: `Explainer.provenance` and how pictures were fitted.
        force: write also over files that were made otherwise.
        top: how many of the likeliest classes files say.
        format: of overlays, a key of `pictures.FORMATS`.
        max_size: of an overlay's longer side in pixels; None leaves it the photograph's.
        scale: `own` for each map's own maximum; anything else names the classes that share one, as files say it.
        events: gets the overlays too, for TensorBoard; None is nobody.
        step: that they are of there.
        about: what files of checks say of the network beside that.
    """

    naming: Naming
    outputs: Collection[str]
    look: Look
    made: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    force: bool = False
    top: int = TOP
    format: str = "png"
    max_size: int | None = None
    scale: str = "own"
    events: Events | None = None
    step: int = 0
    about: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    def files(self, name: str, target: Asked) -> list[File]:
        """The files of a picture of that name and a class."""
        suffixes = {"overlay": f"overlay.{self.format}", "figure": "figure.png", "arrays": "npz", CHECK: "check.json"}
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
        return "overlay" in self._drawn and self.max_size is None

    @property
    def _drawn(self) -> set[str]:
        """The outputs that are drawn, for files or for TensorBoard."""
        return {*self.outputs, *(["overlay"] if self.events else [])}

    def picture(self, name: str, source: Mapping[str, Any], photograph: Photograph) -> Picture:
        """What files need of a photograph once the network has been shown it, no larger than it has to be."""
        pixels = dataclasses.replace(photograph, array=None)
        sides = {"overlay": self.max_size, "figure": figures.LONGEST}
        shown = {output: side for output, side in sides.items() if output in self._drawn}
        photographs = {output: pixels.shrunk(side) if side else pixels for output, side in shown.items()}
        return Picture(name, source, photographs, photograph.frame.size)

    def provenance(self, source: Mapping[str, Any], target: Asked, file: File) -> dict[str, Any]:
        """What a file is made of, as far as it is known before anything is computed."""
        return {
            **self.made,
            **source,
            "target": subject(target),
            "class": title(target, self.naming.labels),
            **told(target),
            "layer": file.layer,
            "method": file.method,
            **({} if file.output in ("arrays", CHECK) else {**self.look._asdict(), "scale": self.scale}),
            **({"max_size": self.max_size} if file.output == "overlay" and self.max_size else {}),
        }

    def peaks(self, explanations: Sequence[Explanation]) -> Peaks:
        """The largest value of a picture's maps for several targets, by layer and method: their scale, if it is one."""
        methods = methods_named(self.naming.methods)
        return {
            (layer, word): max(float(np.abs(method.shown(one, layer)).max()) for one in explanations)
            for layer, (word, method) in itertools.product(self.naming.layers, methods.items())
        }

    def write(
        self, picture: Picture, explanation: Explanation, target: Asked | None = None, peaks: Peaks | None = None
    ) -> Written:
        """Writes the files of one picture and target.

        Args:
            picture: as of `picture`.
            explanation: of it alone.
            target: that it was explained for; None is the class that the explanation names.
            peaks: as of `peaks`; None is each map's own.

        Raises:
            ValueError: a file is there that was made otherwise.
        """
        target = int(explanation.targets[0]) if target is None else target
        files = self.files(picture.name, target)
        name = title(target, self.naming.labels)
        said = one_class(explanation, subject(target), self.naming.labels, explanation.said_there[0])
        shown = predicted(explanation, self.naming.labels, max(TOP, self.top))
        known = {"size": list(picture.size), "predicted": shown, **doubt(explanation), **said}
        made = {file: {**self.provenance(picture.source, target, file), **known} for file in files}
        for file in files:
            del made[file]["index"]  # which is the target
            made[file]["class"] = name
            if not self.force and (how := made_otherwise(file.path, made[file])):
                raise in_the_way([(file.path, how)])
        blank: list[str] = []
        checks: list[str] = []
        for (layer, method), group in itertools.groupby(files, lambda file: (file.layer, file.method)):
            written, peak = {f.output: (f, made[f]) for f in group}, (peaks or {}).get((layer, method))
            blank += self._write(picture, explanation, target, layer, method, written, peak)
            if CHECK in written:
                checks += self._check(explanation, layer, method, *written[CHECK])
        return Written([file.path.relative_to(self.naming.folder).as_posix() for file in files], blank, checks)

    def _check(self, explanation: Explanation, layer: str, word: str, file: File, made: Mapping[str, Any]) -> list[str]:
        """The file of a map's checks, and its lines."""
        from gradcam.evaluation import verdicts  # what few ask for, and takes a while to import

        naming = self.naming
        method = methods_named([word])[word]
        (found,) = verdicts(explanation, method, layer, weights=naming.weights, labels=naming.labels)
        write_json(file.path, {KEY: dict(made), **found.as_json(), **self.about})
        return [f"check of {word} of {layer} for {made['class']!r}:", *(f"  {line}" for line in found.lines())]

    def _write(
        self,
        picture: Picture,
        explanation: Explanation,
        target: Asked,
        layer: str,
        word: str,
        files: Mapping[str, tuple[File, dict[str, Any]]],
        peak: float | None,
    ) -> list[str]:
        """The files of a layer and method; what is to be told if the map is blank."""
        method, name, photographs = methods_named([word])[word], title(target, self.naming.labels), picture.photographs
        cam = method.make(explanation, layer)[0]
        reason = "" if cam.any() else why_blank(explanation, method, layer)
        if reason:
            for _, made in files.values():
                made["blank"] = reason
        if "overlay" in self._drawn:
            signed = method.signed is not None
            shown = method.shown(explanation, layer)[0] if signed else cam
            pixels = figures.Overlay(photographs["overlay"], shown, signed=signed).pixels(self.look, peak)
            if "overlay" in files:
                file, made = files["overlay"]
                write_picture(file.path, pixels, made)
            if self.events:
                stem = self.naming.stem(picture.name, target, layer, word).relative_to(self.naming.folder).as_posix()
                self.events.picture(f"{picture.name}/{stem}", pixels, self.step)
        if "figure" in files:
            file, made = files["figure"]
            figure = self._figure(photographs["figure"], explanation, name, layer, word, reason, peak)
            figures.save_figure(figure, file.path, 150, made)
        if "arrays" in files:
            file, made = files["arrays"]
            everything = explanation.arrays(method.formula or grad_cam, layer)
            arrays: dict[str, Any] = {key: array[0] for key, array in everything.items()}
            write_npz(file.path, {**arrays, "cam": cam}, made)
        return [f"the map of {name!r} at {layer} ({word}) is blank: {reason}"] if reason else []

    def _figure(
        self,
        photograph: Photograph,
        explanation: Explanation,
        name: str,
        layer: str,
        word: str,
        reason: str,
        peak: float | None,
    ) -> figures.Figure:
        row = figures.panels(photograph, explanation, layer=layer, method=word)
        remarks = [figures.about(self.made, [layer])] if self.made else []
        if self.scale != "own":
            remarks.append(f"The scale of the heat map is {self.scale}.")
        if reason:
            remarks.append(f"The map is blank: {reason}.")
        scale, title = "own" if peak is None else "shared", self._title(explanation, name)
        peaks: dict[Hashable, float] = {} if peak is None else {(layer, methods_named([word])[word].title): peak}
        return figures.grid([list(row.items())], [""], title, look=self.look, scale=scale, peaks=peaks, remarks=remarks)

    def _title(self, explanation: Explanation, name: str) -> str:
        number = explanation.says(0)
        one_number = explanation.head == "linear" and explanation.one_output  # it is no class's
        return f"{number}: {name}" if one_number else f"{name}: {number}"


def in_the_way(others: Sequence[tuple[pathlib.Path, str]]) -> BadValue:
    """The error that files are there that were made otherwise: which, and in what."""
    path, how = others[0]
    rest = f", and {len(others) - 1} more" if len(others) > 1 else ""
    return BadValue(f"there already and made otherwise: {path} ({how}){rest}: give another --out or --name, or --force")
