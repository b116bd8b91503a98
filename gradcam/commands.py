"""What the commands of the command line do."""

from __future__ import annotations

import argparse
import pathlib
import sys
import textwrap
from collections.abc import Sequence
from typing import Any

import numpy as np
from tqdm import tqdm

import slim_models
from gradcam import figures, maps
from gradcam.cams import METHODS
from gradcam.explainer import Explainer
from gradcam.explanation import Explanation
from gradcam.photographs import Photograph, expand, read_photograph
from gradcam.terminal import MISTAKES, message
from gradcam.writing import whole_file, write_png


def networks(args: argparse.Namespace) -> int:
    """Lists the networks: input, layers, classes, weights."""
    for name, entry in slim_models.NETWORKS.items():
        try:
            weights = str(slim_models.find_weights(name))
        except FileNotFoundError:
            weights = f"not here; put {entry.file} into weights/, from {entry.origin}"
        layers = slim_models.build(name).endpoints
        marked = [f"{layer} (default)" if layer == entry.default_layer else layer for layer in layers]
        print(f"{name}")
        print(f"  input    {entry.image_size} x {entry.image_size} RGB")
        print(f"  classes  {entry.num_classes} ({entry.labels})")
        print(f"  weights  {weights}")
        print(textwrap.fill(", ".join(marked), 100, initial_indent="  layers   ", subsequent_indent=" " * 11))
    return 0


def explain(args: argparse.Namespace) -> int:
    """Explains every picture for every class; see `gradcam explain --help`."""
    methods = args.method or ["grad_cam"]
    for method in methods:
        if method not in METHODS:
            raise KeyError(f"no method {method!r}; the methods are {', '.join(METHODS)}")
    if args.colormap not in maps.COLORMAPS:
        raise KeyError(f"no colormap {args.colormap!r}; the colormaps are {', '.join(maps.COLORMAPS)}")
    if args.batch < 1:
        raise ValueError(f"--batch must be at least 1, not {args.batch}")
    sources = expand(args.images)
    network = slim_models.build(args.network)
    with Explainer(network, args.weights, layers=args.layer, device=args.device) as explainer:
        asked = dict.fromkeys(explainer.index(target) for target in args.target or [])
        targets: list[int | None] = [*asked] or [None]
        job = _Job(explainer, targets, args.layer or [network.default_layer], methods, args)
        failures = job.run(sources)
    if len(failures) < len(sources):
        print(f"the files are in {job.out}")
    if failures and len(sources) == 1:
        raise failures[0][1]
    for source, error in failures:
        print(f"gradcam: {source}: {message(error)}", file=sys.stderr)
    if failures:
        print(f"gradcam: {len(failures)} of {len(sources)} pictures failed", file=sys.stderr)
    return 1 if failures else 0


class _Job:
    """One `gradcam explain`: its pictures go through the network a batch at a time."""

    def __init__(
        self,
        explainer: Explainer,
        targets: Sequence[int | None],
        layers: Sequence[str],
        methods: Sequence[str],
        args: argparse.Namespace,
    ):
        self.explainer, self.targets, self.layers, self.methods = explainer, targets, layers, methods
        self.args = args
        self.out = pathlib.Path(args.out)
        self.used: set[str] = set()

    def run(self, sources: Sequence[str]) -> list[tuple[str, Exception]]:
        """Explains all; returns the pictures that could not be read, and why."""
        failures: list[tuple[str, Exception]] = []
        with tqdm(total=len(sources), unit="picture", disable=None, leave=False) as progress:
            for start in range(0, len(sources), self.args.batch):
                some = sources[start : start + self.args.batch]
                batch = []
                for source in some:
                    try:
                        batch.append(read_photograph(source, self.args.fit))
                    except MISTAKES as error:
                        failures.append((source, error))
                if batch:
                    self.explain(batch)
                progress.update(len(some))
        return failures

    def explain(self, photographs: Sequence[Photograph]) -> None:
        """Explains one batch for every class and writes the files."""
        size = self.explainer.network.image_size
        images = np.stack([photograph.fitted(size) for photograph in photographs])
        names = [self._unused(photograph.name) for photograph in photographs]
        for round_, target in enumerate(self.targets):
            explanation = self.explainer.explain(images, target)
            for number, (photograph, name) in enumerate(zip(photographs, names)):
                if round_ == 0:
                    tqdm.write(self._top5(name, photograph, explanation, number))
                for layer in self.layers:
                    for method in self.methods:
                        self._write(name, photograph, explanation, number, layer, method)

    def _unused(self, name: str) -> str:
        """The name, numbered if an earlier picture has it: a/cat.jpg and b/cat.jpg are two."""
        numbered = (f"{name}-{i}" for i in range(2, len(self.used) + 3))
        while name.lower() in self.used:  # some file systems do not tell cat.jpg from Cat.jpg
            name = next(numbered)
        self.used.add(name.lower())
        return name

    def _top5(self, name: str, photograph: Photograph, explanation: Explanation, number: int) -> str:
        """A table: the five most probable classes, and those asked for, marked with a star."""
        height, width = photograph.pixels.shape[:2]
        probabilities = explanation.probabilities[number]
        top5 = np.argsort(-probabilities, kind="stable")[:5].tolist()
        asked = [target for target in self.targets if target is not None]
        lines = [f"{name} ({width} x {height})"]
        for index in dict.fromkeys(top5 + asked):
            mark = " *" if index in asked else ""
            lines.append(f"  {probabilities[index]:7.2%}  {index:4d}  {self._class(index)}{mark}")
        return "\n".join(lines)

    def _class(self, index: int) -> str:
        labels = self.explainer.labels
        return labels.name(index) if labels else f"class {index}"

    def _stem(self, name: str, target: int, layer: str, method: str) -> pathlib.Path:
        """What the files' names begin with: layer and method are in it where there are several."""
        labels = self.explainer.labels
        parts = [name, labels.file_name(target) if labels else f"class_{target}"]
        parts += [layer.replace("/", "_")] * (len(self.layers) > 1) + [method] * (len(self.methods) > 1)
        return self.out / ".".join(parts)

    def _write(
        self, name: str, photograph: Photograph, explanation: Explanation, number: int, layer: str, method: str
    ) -> None:
        """The figure, the overlay and the arrays of one picture, class, layer and method."""
        target = int(explanation.targets[number])
        title = self._class(target)
        stem = self._stem(name, target, layer, method)
        heatmap = photograph.heatmap(explanation.cam(METHODS[method], layer)[number])
        write_png(f"{stem}.overlay.png", maps.overlay(photograph.pixels, heatmap, self.args.colormap))
        pictures = figures.panels(
            photograph, explanation, number, layer=layer, method=METHODS[method], colormap=self.args.colormap
        )
        heading = f"{title}: {explanation.probabilities[number, target]:.1%}   {self.args.network} {layer}, {method}"
        figure = figures.grid([list(pictures.items())], [""], heading)
        figures.save_figure(figure, f"{stem}.figure.png", dpi=150)
        with whole_file(f"{stem}.npz") as temporary:
            arrays: dict[str, Any] = explanation.arrays(number, METHODS[method], layer)
            np.savez_compressed(temporary, heatmap=heatmap, **arrays)
