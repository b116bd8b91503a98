"""What `gradcam explain` says of its pictures: files, and a table of classes."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np
from tqdm import tqdm

from gradcam.explainer import Explainer
from gradcam.explanation import Explanation
from gradcam.labels import class_name
from gradcam.outputs import Writer
from gradcam.photographs import Photograph, read_photograph
from gradcam.pipeline import ahead
from gradcam.terminal import MISTAKES

Failures = list[tuple[str, Exception]]


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
    """

    def __init__(self, explainer: Explainer, targets: Sequence[int], writer: Writer, fit: str = "stretch"):
        self.explainer, self.targets, self.writer, self.fit = explainer, targets, writer, fit
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
                photographs[source] = read_photograph(source, self.fit)
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
        probabilities = explanation.probabilities[0]
        top5 = np.argsort(-probabilities, kind="stable")[:5].tolist()
        lines = [f"{name} ({width} x {height})"]
        for index in dict.fromkeys([*top5, *self.targets]):
            mark = " *" if index in self.targets else ""
            lines.append(f"  {probabilities[index]:7.2%}  {index:4d}  {class_name(index, self.explainer.labels)}{mark}")
        return "\n".join(lines)
