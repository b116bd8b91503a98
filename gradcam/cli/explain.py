"""What `gradcam explain` makes of its pictures: files, and a table of classes."""

from __future__ import annotations

import dataclasses
import pathlib
from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from tqdm import tqdm

from gradcam import figures
from gradcam.cams import grad_cam
from gradcam.explanation import Explanation
from gradcam.methods import REGISTRY
from gradcam.pictures import Photograph, read_photograph, write_npz, write_png
from gradcam.pipeline import ahead
from gradcam.terminal import MISTAKES
from slim_models.labels import Labels, class_name

if TYPE_CHECKING:
    from gradcam.explainer import Explainer

# What can be written -> the ReLU rules that the explainer needs for it.
OUTPUTS: dict[str, tuple[str, ...]] = {"overlay": (), "figure": ("guided",), "arrays": ("guided",)}
Failures = list[tuple[str, Exception]]


def rules_for(outputs: Collection[str]) -> list[str]:
    """The ReLU rules that some `OUTPUTS` need, each once."""
    return list(dict.fromkeys(rule for output in outputs for rule in OUTPUTS[output]))


@dataclasses.dataclass(frozen=True)
class Writer:
    """Writes what is asked for of a picture and a class, for each layer and method; computes nothing else.

    Attributes:
        folder: of the files.
        outputs: keys of `OUTPUTS`.
        layers: endpoints that were explained.
        methods: keys of `methods.REGISTRY`.
        colormap: a key of `maps.COLORMAPS`.
        network: its name, for the figures' titles.
        labels: of its classes, if they are known.
    """

    folder: pathlib.Path
    outputs: Collection[str]
    layers: Sequence[str]
    methods: Sequence[str]
    colormap: str
    network: str
    labels: Labels | None

    def write(self, name: str, photograph: Photograph, explanation: Explanation) -> None:
        """Writes the files of one picture.

        Args:
            name: what their names begin with.
            photograph: the picture.
            explanation: of it alone.
        """
        target = int(explanation.targets[0])
        for layer in self.layers:
            for method in self.methods:
                self._write(self._stem(name, target, layer, method), photograph, explanation, layer, method)

    def _write(
        self, stem: pathlib.Path, photograph: Photograph, explanation: Explanation, layer: str, word: str
    ) -> None:
        method = REGISTRY[word]
        if {"overlay", "arrays"} & set(self.outputs):
            cam = method.make(explanation, layer)[0]
            heatmap = photograph.heatmap(cam)
        if "overlay" in self.outputs:
            write_png(f"{stem}.overlay.png", photograph.overlay(heatmap, self.colormap))
        if "figure" in self.outputs:
            row = figures.panels(photograph, explanation, layer=layer, method=word, colormap=self.colormap)
            figure = figures.grid([list(row.items())], [""], f"{self._title(explanation)}   {self.network} {layer}")
            figures.save_figure(figure, f"{stem}.figure.png", dpi=150)
        if "arrays" in self.outputs:
            everything = explanation.arrays(method.formula or grad_cam, layer)
            arrays: dict[str, Any] = {key: array[0] for key, array in everything.items()}
            write_npz(f"{stem}.npz", {"heatmap": heatmap, **arrays, "cam": cam})

    def _title(self, explanation: Explanation) -> str:
        target = int(explanation.targets[0])
        said = explanation.said[0, target]
        number = f"{said:.4g}" if explanation.head == "linear" else f"{said:.1%}"
        if explanation.head == "linear" and explanation.one_output:  # the number is no class's
            return f"{number}: {class_name(target, self.labels)}"
        return f"{class_name(target, self.labels)}: {number}"

    def _stem(self, name: str, target: int, layer: str, method: str) -> pathlib.Path:
        """What the files' names begin with: layer and method are in it where there are several."""
        parts = [name, self.labels.file_name(target) if self.labels else f"class_{target}"]
        parts += [layer.replace("/", "_")] * (len(self.layers) > 1) + [method] * (len(self.methods) > 1)
        return self.folder / ".".join(parts)


@dataclasses.dataclass(frozen=True, eq=False)
class _Batch:
    """Pictures that were read, by source, and as the network is fed them; and those that could not be."""

    sources: Sequence[str]
    photographs: Mapping[str, Photograph]
    images: np.ndarray
    failures: Failures


class Reports:
    """Explains pictures a batch at a time and writes files for each class, layer and method.

    While the session runs a batch, the next one is read, and the files of the one before are written. They are
    written by the caller's thread: matplotlib bears no more than one, and an interruption finds the caller there.

    Attributes:
        explainer: with the layers and rules that the writer needs.
        targets: the classes to explain; empty for each picture's predicted one.
        writer: of the files.
        fit: `"stretch"` or `"crop"`.
        reading: of arrays, `channels` and `bands` of `read_photograph`.
    """

    def __init__(
        self, explainer: Explainer, targets: Sequence[int], writer: Writer, fit: str = "stretch", **reading: Any
    ):
        self.explainer, self.targets, self.writer, self.fit, self.reading = explainer, targets, writer, fit, reading
        self._names: set[str] = set()

    def write(self, sources: Sequence[str], batch: int) -> Failures:
        """Explains all pictures, with a progress bar on a terminal and a printed table for each.

        Args:
            sources: files or samples, as for `read_photograph`.
            batch: pictures a run.

        Returns:
            The pictures that failed, and why; the others are done.
        """
        failures: Failures = []
        parts = [sources[start : start + batch] for start in range(0, len(sources), batch)]
        with (
            tqdm(total=len(sources), unit="picture", disable=None, leave=False) as progress,
            ahead(self._read, parts) as batches,
            ahead(self._explain, batches) as explained,
        ):
            for done, explanations in explained:
                failures += done.failures + self._write(done.photographs, explanations)
                progress.update(len(done.sources))
        return failures

    def _read(self, sources: Sequence[str]) -> _Batch:
        photographs: dict[str, Photograph] = {}
        failures: Failures = []
        for source in sources:
            try:
                photographs[source] = read_photograph(source, self.fit, **self.reading)
            except MISTAKES as error:
                failures.append((source, error))
        size = self.explainer.network.image_size
        images = np.array([photograph.fitted(size) for photograph in photographs.values()])
        return _Batch(sources, photographs, images, failures)

    def _explain(self, batch: _Batch) -> tuple[_Batch, list[list[Explanation]]]:
        """For each picture its explanations, one a class."""
        if len(self.targets) > 1:  # they share a picture's forward pass
            shared = [self.explainer.explain_classes(image, self.targets) for image in batch.images]
            return batch, [[classes[i] for i in range(len(self.targets))] for classes in shared]
        if not len(batch.images):
            return batch, []
        explanation = self.explainer.explain(batch.images, *self.targets)
        return batch, [[explanation[i]] for i in range(len(batch.images))]

    def _write(self, photographs: Mapping[str, Photograph], pictures: Sequence[Sequence[Explanation]]) -> Failures:
        """The files of each picture of a batch, and its table."""
        failures: Failures = []
        for (source, photograph), explanations in zip(photographs.items(), pictures):
            name = self._unused(photograph.name)
            try:
                for explanation in explanations:
                    self.writer.write(name, photograph, explanation)
            except MISTAKES as error:
                failures.append((source, error))
            else:
                tqdm.write(self._top5(name, photograph, explanations[0]))
        return failures

    def _unused(self, name: str) -> str:
        """The name, numbered if an earlier picture has it: a/cat.jpg and b/cat.jpg are two."""
        numbered = (f"{name}-{i}" for i in range(2, len(self._names) + 3))
        while name.lower() in self._names:  # some file systems do not tell cat.jpg from Cat.jpg
            name = next(numbered)
        self._names.add(name.lower())
        return name

    def _top5(self, name: str, photograph: Photograph, explanation: Explanation) -> str:
        """A table: the five most probable classes, and those asked for, marked with a star."""
        height, width = photograph.pixels.shape[:2]
        share, said = explanation.head != "linear", explanation.said[0]
        top5 = np.argsort(-said, kind="stable")[:5].tolist()
        lines = [f"{name} ({width} x {height})"]
        if explanation.one_output and not share:  # one number, whatever it was explained for
            names = [class_name(target, self.explainer.labels) for target in self.targets or explanation.targets]
            return "\n".join([*lines, f"  {said[0]:9.4g}  explained: {', '.join(names)}"])
        for index in dict.fromkeys([*top5, *self.targets]):
            mark = " *" if index in self.targets else ""
            number = f"{said[index]:7.2%}" if share else f"{said[index]:9.4g}"
            lines.append(f"  {number}  {index:4d}  {class_name(index, self.explainer.labels)}{mark}")
        return "\n".join(lines)
