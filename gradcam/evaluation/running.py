"""A network over a data set, in batches of bounded memory, resumable; what is measured is a `Measure`."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import pathlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from tqdm import tqdm

from gradcam.evaluation.datasets import Example
from gradcam.evaluation.earlier import digest, digest_of, take_over
from gradcam.evaluation.estimates import Table
from gradcam.evaluation.journal import Journal, Row
from gradcam.methods import Method, needs
from gradcam.pictures import Frame, Photograph
from gradcam.pipeline import ahead
from slim_models import fingerprint
from slim_models.mistakes import BadValue

if TYPE_CHECKING:
    from gradcam.evaluation.elsewhere import Elsewhere
    from gradcam.explainer import Explainer
    from slim_models.network import Network


@dataclasses.dataclass(frozen=True, eq=False)
class Batch:
    """Labelled pictures, ready for a network.

    Attributes:
        examples: what the data set says of the N pictures.
        frames: the pictures' own sizes and how they were fitted; their pixels are needed no more.
        images: `[N, H, W, 3]`, RGB in [0, 255], at the network's size.
        targets: `[N]`, the indices of their classes.
    """

    examples: Sequence[Example]
    frames: Sequence[Frame]
    images: np.ndarray
    targets: np.ndarray


class Measure(Protocol):
    """What is measured over a data set: what a picture's row is, and what tables all rows become.

    Attributes:
        methods: name -> whose maps are measured.
        needs_boxes: whether every picture must have a true box.
        unit: of the tables' numbers.
        digits: of the tables' numbers after the point.
    """

    methods: Mapping[str, Method]
    needs_boxes: bool
    unit: str
    digits: int

    @property
    def one_scale(self) -> bool:
        """Whether the tables' numbers are of one kind."""

    def protocol(self) -> Mapping[str, Any]:
        """The choices that the rows depend on, as JSON can hold them."""

    def remark(self) -> str:
        """The protocol in words."""

    def rows(self, explainer: Explainer, batch: Batch) -> list[Row]:
        """A row for each picture of a batch."""

    def tables(self, rows: Sequence[Row], network: str) -> Mapping[str, Table]:
        """The tables of all rows, by title; `network` is the network's name."""


@dataclasses.dataclass(frozen=True, eq=False)
class Run:
    """A finished run over a data set.

    Attributes:
        network: its name.
        measure: what was measured.
        rows: one a picture.
        protocol: everything that the numbers depend on.
    """

    network: str
    measure: Measure
    rows: Sequence[Row]
    protocol: Mapping[str, Any]

    @property
    def title(self) -> str:
        """Network, data and number of pictures in a line; weights and layer in another."""
        made = f"weights {self.protocol['weights'][:8]}, layer {self.protocol['layer']}"
        return f"{self.network}, {self.protocol['data']}: {len(self.rows):,} pictures\n{made}"

    def tables(self) -> Mapping[str, Table]:
        """The tables, by title."""
        return self.measure.tables(self.rows, self.network)


@dataclasses.dataclass(frozen=True)
class Choices:
    """What a run is told beside the network, the pictures and the measure.

    Attributes:
        layer: of the maps; None is the network's default one.
        fit: how pictures become square, `"stretch"` or `"crop"`.
        smooth: of saliency, as in `maps.magnitude`.
        batch: pictures a session run.
        fresh: forget what an interrupted run has measured.
    """

    layer: str | None = None
    fit: str = "stretch"
    smooth: float = 0.02
    batch: int = 25
    fresh: bool = False


def run(
    network: Network,
    examples: Sequence[Example],
    measure: Measure,
    path: pathlib.Path,
    *,
    name: str | None = None,
    data: str = "",
    choices: Choices | None = None,
    say: Callable[[str], object] | None = None,
    elsewhere: Elsewhere | None = None,
) -> Run:
    """Measures every picture that no earlier run has, be it an interrupted one or one over the first of them.

    Args:
        network: with its values.
        examples: the data set, in an order that stays.
        measure: what is measured.
        path: beside it, under names that tell runs apart, the rows are kept.
        name: what the network is called in titles, and the path of one that has no values by name; None is its own.
        data: what the data set is called.
        choices: None are the defaults.
        say: is told what was measured before, and shown a progress bar on a terminal; None is silent.
        elsewhere: workers that measure in this program's place, the same in batches of the same size; None is here.

    Raises:
        KeyError: the class of a picture is none of the network's, or there is no such layer.
        OSError: the workers' scheduler is gone.
        ValueError: a picture is damaged or lacks a box; the rows that are there are not of these pictures; the network
            takes arrays; or as of `Cluster.results`.
    """
    from gradcam.explainer import Explainer
    from gradcam.sessions import tensorflow_version

    network.check_photographs()
    choices, name = choices or Choices(), name or network.name
    if measure.needs_boxes:
        require_boxes(examples)
    protocol = {
        "network": name,
        "weights": _fingerprint_of(network, name),
        "tensorflow": tensorflow_version() + " and others" * (elsewhere is not None and elsewhere.any_tensorflow),
        "data": data,
        "pictures": digest_of(map(_identity, examples)),
        "layer": choices.layer or network.default_layer,
        "methods": list(measure.methods),
        "fit": choices.fit,
        "smooth": choices.smooth,
        "batch": choices.batch,
        **measure.protocol(),
    }
    layers = [choices.layer] if choices.layer else None
    with Explainer(network, layers=layers, **needs(measure.methods)) as explainer:
        journal = _begun(path, protocol, examples, choices, say)
        there = None if elsewhere is None else functools.partial(elsewhere.rows, explainer, layers, choices.fit)
        options: dict[str, Any] = {"batch": choices.batch, "fit": choices.fit, "progress": say is not None}
        rows = evaluate(explainer, examples, measure, journal, **options, there=there)
    return Run(name, measure, rows, protocol)


def _begun(
    path: pathlib.Path,
    protocol: Mapping[str, Any],
    examples: Sequence[Example],
    choices: Choices,
    say: Callable[[str], object] | None,
) -> Journal:
    """The journal of a run, with what an earlier one has measured."""
    journal = Journal(path.with_suffix(f".{digest(protocol)}.jsonl"), protocol, fresh=choices.fresh)
    source = journal.path
    if not len(journal) and not choices.fresh:
        source = take_over(journal, map(_identity, examples), choices.batch) or source
    if len(journal) and say:
        say(f"{len(journal)} of {len(examples)} pictures are in {source}; --fresh measures them again")
    return journal


def evaluate(
    explainer: Explainer,
    examples: Sequence[Example],
    measure: Measure,
    journal: Journal,
    *,
    batch: int = 50,
    fit: str = "stretch",
    progress: bool = False,
    there: Rows | None = None,
) -> Sequence[Row]:
    """Measures every picture that the journal does not have yet.

    Args:
        explainer: with the rules and layers that the measure's methods need.
        examples: the data set, in an order that stays.
        measure: what is measured.
        journal: of this run.
        batch: pictures at a time.
        fit: `"stretch"` or `"crop"`, as in `photograph.region`.
        progress: whether a bar is shown, if on a terminal.
        there: measures in the place of the explainer, as `Elsewhere.rows` does; None is here.

    Returns:
        The rows of all pictures, in their order.

    Raises:
        KeyError: the class of a picture is none of the network's.
        ValueError: a picture is damaged; the journal's rows are not of these pictures, or another run has it.
    """
    if batch < 1:
        raise BadValue(f"a batch has at least 1 picture, not {batch}")
    for target in {example.target: None for example in examples}:
        explainer.index(target)  # complains before hours of work
    done = _done(examples, batch, journal)
    bar = {"total": len(examples), "initial": done, "unit": "picture", "disable": None if progress else True}
    left = [examples[start : start + batch] for start in range(done, len(examples), batch)]
    with journal.held(), tqdm(**bar, leave=False) as shown, (there or here(explainer, measure, fit))(left) as measuring:
        for part, rows in zip(left, measuring):
            journal.append([{"name": example.name, **row} for example, row in zip(part, rows)])
            shown.update(len(rows))
    return journal.rows


Rows = Callable[[Iterable[Sequence[Example]]], contextlib.AbstractContextManager[Iterator["list[Row]"]]]


def here(explainer: Explainer, measure: Measure, fit: str) -> Rows:
    """What measures parts in this process, while the next one is read."""

    @contextlib.contextmanager
    def rows(parts: Iterable[Sequence[Example]]) -> Iterator[Iterator[list[Row]]]:
        with ahead(functools.partial(_prepared, explainer, fit), parts) as batches:
            yield (measure.rows(explainer, ready) for ready in batches)

    return rows


def measured(explainer: Explainer, measure: Measure, fit: str, part: Sequence[Example]) -> list[Row]:
    """The rows of one part; errors as of `evaluate`."""
    return measure.rows(explainer, _prepared(explainer, fit, part))


def _done(examples: Sequence[Example], batch: int, journal: Journal) -> int:
    """How many pictures the journal has; a ValueError if it is of others, or of batches of another size."""
    done = 0
    for rows in journal.batches():
        part = examples[done : done + batch]
        if [row.get("name") for row in rows] != [example.name for example in part]:
            raise BadValue(f"{journal.path} holds rows of other pictures: begin afresh, or write elsewhere")
        done += len(part)
    return done


def require_boxes(examples: Sequence[Example]) -> None:
    """Raises a ValueError that names the first picture without a true box."""
    without = [example.name for example in examples if not example.boxes]
    if without:
        raise BadValue(f"{len(without)} of {len(examples)} pictures have no box, the first being {without[0]}")


def _prepared(explainer: Explainer, fit: str, part: Sequence[Example]) -> Batch:
    frames, images = [], []
    for example in part:  # whose pixels are there one at a time
        try:
            photograph = Photograph(example.name, example.read(), fit)
        except ValueError as error:
            raise BadValue(f"{example.name}: {error}") from error
        frames.append(photograph.frame)
        images.append(photograph.fitted(explainer.network.image_size))
    return Batch(part, frames, np.stack(images), np.array([explainer.index(example.target) for example in part]))


def _fingerprint_of(network: Network, path: str) -> str:
    """What tells a network's values from others: their hash, or size and time of every file at its path."""
    arrays = network.values.arrays()
    if arrays is not None:
        return fingerprint(arrays)
    place = pathlib.Path(path)
    files = sorted(place.rglob("*")) if place.is_dir() else sorted(place.parent.glob(f"{place.name}*"))
    return digest([(file.name, file.stat().st_size, file.stat().st_mtime_ns) for file in files])


def _identity(example: Example) -> tuple[Any, ...]:
    """What tells an example from others: all but what it reads."""
    return example.name, str(example.target), example.boxes, example.others, example.is_first, example.difficult
