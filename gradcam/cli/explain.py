"""The files that `gradcam explain` writes of a picture: overlay, figure and arrays."""

from __future__ import annotations

import dataclasses
import pathlib
from collections.abc import Collection, Sequence
from typing import Any

from gradcam import figures
from gradcam.cams import METHODS
from gradcam.explanation import Explanation
from gradcam.labels import Labels, class_name
from gradcam.photographs import Photograph
from gradcam.writing import write_npz, write_png

# What can be written -> the ReLU rules that the explainer needs for it.
OUTPUTS: dict[str, tuple[str, ...]] = {"overlay": (), "figure": ("guided",), "arrays": ("guided",)}


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
        methods: keys of `METHODS`.
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
        method = METHODS[word]
        if {"overlay", "arrays"} & set(self.outputs):
            heatmap = photograph.heatmap(explanation.cam(method, layer)[0])
        if "overlay" in self.outputs:
            write_png(f"{stem}.overlay.png", photograph.overlay(heatmap, self.colormap))
        if "figure" in self.outputs:
            row = figures.panels(photograph, explanation, layer=layer, method=method, colormap=self.colormap)
            figure = figures.grid([list(row.items())], [""], f"{self._title(explanation)}   {self.network} {layer}")
            figures.save_figure(figure, f"{stem}.figure.png", dpi=150)
        if "arrays" in self.outputs:
            arrays: dict[str, Any] = {key: array[0] for key, array in explanation.arrays(method, layer).items()}
            write_npz(f"{stem}.npz", {"heatmap": heatmap, **arrays})

    def _title(self, explanation: Explanation) -> str:
        target = int(explanation.targets[0])
        return f"{class_name(target, self.labels)}: {explanation.probabilities[0, target]:.1%}"

    def _stem(self, name: str, target: int, layer: str, method: str) -> pathlib.Path:
        """What the files' names begin with: layer and method are in it where there are several."""
        parts = [name, self.labels.file_name(target) if self.labels else f"class_{target}"]
        parts += [layer.replace("/", "_")] * (len(self.layers) > 1) + [method] * (len(self.methods) > 1)
        return self.folder / ".".join(parts)
