"""What `gradcam explain` says of its pictures: files, and a table of classes."""

from __future__ import annotations

import os
import pathlib
from collections.abc import Sequence
from typing import Any

import numpy as np
from tqdm import tqdm

from gradcam import figures
from gradcam.cams import METHODS
from gradcam.explainer import Explainer
from gradcam.explanation import Explanation
from gradcam.labels import class_name
from gradcam.photographs import Photograph, read_photograph
from gradcam.terminal import MISTAKES
from gradcam.writing import write_png
from slim_models.writing import whole_file


class Reports:
    """Explains pictures a batch at a time and writes, for each, class, layer and method, three files.

    Attributes:
        explainer: with the rule `guided`.
        targets: the classes to explain; empty for each picture's predicted one.
        layers: endpoints that the explainer explains.
        methods: keys of `METHODS`.
        fit: `"stretch"` or `"crop"`.
        colormap: a key of `maps.COLORMAPS`.
        out: the folder of the files.
    """

    def __init__(
        self,
        explainer: Explainer,
        targets: Sequence[int],
        layers: Sequence[str],
        methods: Sequence[str],
        *,
        fit: str,
        colormap: str,
        out: str | os.PathLike,
    ):
        self.explainer, self.targets, self.layers, self.methods = explainer, targets, layers, methods
        self.fit, self.colormap, self.out = fit, colormap, pathlib.Path(out)
        self._names: set[str] = set()

    def write(self, sources: Sequence[str], batch: int) -> list[tuple[str, Exception]]:
        """Explains all pictures, with a progress bar on a terminal and a printed table for each.

        Args:
            sources: files or samples, as for `read_photograph`.
            batch: pictures a run.

        Returns:
            The pictures that failed, and why; the others are done.
        """
        failures: list[tuple[str, Exception]] = []
        with tqdm(total=len(sources), unit="picture", disable=None, leave=False) as progress:
            for start in range(0, len(sources), batch):
                photographs: dict[str, Photograph] = {}
                for source in sources[start : start + batch]:
                    try:
                        photographs[source] = read_photograph(source, self.fit)
                    except MISTAKES as error:
                        failures.append((source, error))
                failures += self._explain(photographs)
                progress.update(len(sources[start : start + batch]))
        return failures

    def _explain(self, photographs: dict[str, Photograph]) -> list[tuple[str, Exception]]:
        """One batch: a run a class, then the files of each picture."""
        if not photographs:
            return []
        size = self.explainer.network.image_size
        images = np.stack([photograph.fitted(size) for photograph in photographs.values()])
        targets: Sequence[int | None] = self.targets or [None]
        batches = [self.explainer.explain(images, target) for target in targets]
        failures: list[tuple[str, Exception]] = []
        for number, (source, photograph) in enumerate(photographs.items()):
            name = self._unused(photograph.name)
            explanations = [explanation[number] for explanation in batches]
            try:
                for explanation in explanations:
                    self._write(name, photograph, explanation)
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
        probabilities = explanation.probabilities[0]
        top5 = np.argsort(-probabilities, kind="stable")[:5].tolist()
        lines = [f"{name} ({width} x {height})"]
        for index in dict.fromkeys([*top5, *self.targets]):
            mark = " *" if index in self.targets else ""
            lines.append(f"  {probabilities[index]:7.2%}  {index:4d}  {class_name(index, self.explainer.labels)}{mark}")
        return "\n".join(lines)

    def _write(self, name: str, photograph: Photograph, explanation: Explanation) -> None:
        """The overlay, the figure and the arrays of one picture and class, for each layer and method."""
        target = int(explanation.targets[0])
        title = f"{class_name(target, self.explainer.labels)}: {explanation.probabilities[0, target]:.1%}"
        for layer in self.layers:
            for word in self.methods:
                method, stem = METHODS[word], self._stem(name, target, layer, word)
                heatmap = photograph.heatmap(explanation.cam(method, layer)[0])
                write_png(f"{stem}.overlay.png", photograph.overlay(heatmap, self.colormap))
                row = figures.panels(photograph, explanation, layer=layer, method=method, colormap=self.colormap)
                figure = figures.grid([list(row.items())], [""], f"{title}   {self.explainer.network.name} {layer}")
                figures.save_figure(figure, f"{stem}.figure.png", dpi=150)
                arrays: dict[str, Any] = {key: array[0] for key, array in explanation.arrays(method, layer).items()}
                with whole_file(f"{stem}.npz") as temporary:
                    np.savez_compressed(temporary, heatmap=heatmap, **arrays)

    def _stem(self, name: str, target: int, layer: str, method: str) -> pathlib.Path:
        """What the files' names begin with: layer and method are in it where there are several."""
        labels = self.explainer.labels
        parts = [name, labels.file_name(target) if labels else f"class_{target}"]
        parts += [layer.replace("/", "_")] * (len(self.layers) > 1) + [method] * (len(self.methods) > 1)
        return self.out / ".".join(parts)
