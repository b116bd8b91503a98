"""A network over a data set, in batches of bounded memory; what is measured is the caller's."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
from collections.abc import Callable, Mapping, Sequence

import numpy as np
from tqdm import tqdm

from gradcam.examples import Example
from gradcam.explainer import Explainer
from gradcam.journal import Journal, Row
from gradcam.photographs import Photograph
from gradcam.pipeline import ahead


@dataclasses.dataclass(frozen=True, eq=False)
class Batch:
    """Labelled pictures, ready for a network.

    Attributes:
        examples: what the data set says of the N pictures.
        photographs: the pictures at their own size.
        images: `[N, H, W, 3]`, RGB in [0, 255], at the network's size.
        targets: `[N]`, the indices of their classes.
    """

    examples: Sequence[Example]
    photographs: Sequence[Photograph]
    images: np.ndarray
    targets: np.ndarray


Measure = Callable[[Explainer, Batch], list[Row]]


def evaluate(
    explainer: Explainer,
    examples: Sequence[Example],
    measure: Measure,
    journal: Journal,
    *,
    batch: int = 50,
    fit: str = "stretch",
) -> list[Row]:
    """Measures every picture that the journal does not have yet, with a progress bar on a terminal.

    Args:
        explainer: with the rules and layers that `measure` needs.
        examples: the data set, in an order that stays.
        measure: explainer and batch -> a row a picture, of what JSON can hold.
        journal: of this run.
        batch: pictures at a time.
        fit: `"stretch"` or `"crop"`, as in `fitting.region`.

    Returns:
        The rows of all pictures, in their order.

    Raises:
        KeyError: the class of a picture is none of the network's.
        ValueError: a picture is damaged; or the journal's rows are not of these pictures.
    """
    if batch < 1:
        raise ValueError(f"a batch has at least 1 picture, not {batch}")
    for target in {example.target: None for example in examples}:
        explainer.index(target)  # complains before hours of work
    parts = [examples[start : start + batch] for start in range(0, len(examples), batch)]
    names = [[example.name for example in part] for part in parts]
    if [[row["name"] for row in rows] for rows in journal.batches] != names[: len(journal.batches)]:
        raise ValueError(f"{journal.path} holds rows of other pictures: begin afresh, or write elsewhere")
    done = sum(map(len, journal.batches))
    prepare = functools.partial(_prepared, explainer, fit)
    with (
        tqdm(total=len(examples), initial=done, unit="picture", disable=None, leave=False) as progress,
        ahead(prepare, parts[len(journal.batches) :]) as batches,
    ):
        for ready in batches:
            rows = measure(explainer, ready)
            journal.append([{"name": example.name, **row} for example, row in zip(ready.examples, rows)])
            progress.update(len(rows))
    return journal.rows


def _prepared(explainer: Explainer, fit: str, part: Sequence[Example]) -> Batch:
    photographs = _read(part, fit)
    images = np.stack([photograph.fitted(explainer.network.image_size) for photograph in photographs])
    return Batch(part, photographs, images, np.array([explainer.index(example.target) for example in part]))


def _read(part: Sequence[Example], fit: str) -> list[Photograph]:
    photographs = []
    for example in part:
        try:
            photographs.append(Photograph(example.name, example.read(), fit))
        except ValueError as error:
            raise ValueError(f"{example.name}: {error}") from error
    return photographs


def fingerprint(weights: Mapping[str, np.ndarray]) -> str:
    """The first 16 digits of a SHA-256 over names and values: what tells two sets of weights apart."""
    digest = hashlib.sha256()
    for name in sorted(weights):
        digest.update(f"{name} {np.shape(weights[name])} {weights[name].dtype}".encode())
        digest.update(np.ascontiguousarray(weights[name]).tobytes())
    return digest.hexdigest()[:16]
