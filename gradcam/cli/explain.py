"""What `gradcam explain` makes of its pictures: files, and a table of classes."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from tqdm import tqdm

from gradcam.cli.predictions import Row, doubt, none_may_fit, one_class, predicted
from gradcam.cli.writer import TOP, Picture, Writer
from gradcam.explanation import Explanation
from gradcam.pictures import bytes_of, read_photograph, source_of
from gradcam.pipeline import Room, ahead, portions
from gradcam.targets import Asked, classes, subject, title, told
from gradcam.terminal import MISTAKES
from slim_models.labels import class_name

if TYPE_CHECKING:
    from gradcam.explainer import Explainer

Failures = list[tuple[str, Exception]]


@dataclasses.dataclass(frozen=True, eq=False)
class _Batch:
    """Pictures that were read, and as the network is fed them; and those that could not be.

    Attributes:
        weight: bytes that the photographs hold.
    """

    sources: Sequence[str]
    weight: int
    pictures: Sequence[Picture]
    images: np.ndarray
    failures: Failures


class Report(NamedTuple):
    """What became of one picture.

    Attributes:
        source: the picture.
        error: why it failed; None if it did not.
        row: of the table of predictions, of one that did not.
        blank: how many maps are.
        lines: what is said of it, after its number.
    """

    source: str
    error: Exception | None = None
    row: Row | None = None
    blank: int = 0
    lines: Sequence[str] = ()


@dataclasses.dataclass
class Outcome:
    """What became of the pictures of a run.

    Attributes:
        total: how many there are, those done before among them.
        done: how many are done, now or before.
        failures: those that failed, and why.
        rows: of the table of predictions.
        blank: how many maps are.
        doubted: of how many pictures none of the classes may be.
    """

    total: int
    done: int = 0
    failures: Failures = dataclasses.field(default_factory=list)
    rows: list[Row] = dataclasses.field(default_factory=list)
    blank: int = 0
    doubted: int = 0

    def add(self, report: Report) -> None:
        """Counts a picture, and says what is said of it."""
        if report.error is not None:
            self.failures.append((report.source, report.error))
        if report.row is None:
            return
        self.done += 1
        self.blank += report.blank
        self.rows.append(report.row)
        self.doubted += report.row.get("none_fits", False)
        number = f"{self.done + len(self.failures)}/{self.total} " if self.total > 1 else ""
        tqdm.write("\n".join([f"{number}{report.lines[0]}", *report.lines[1:]]))


class Reports:
    """Explains pictures a batch at a time and writes files for each class, layer and method.

    While the session runs a batch, the next one is read, and the files of the one before are written. They are
    written by the caller's thread: matplotlib bears no more than one, and an interruption finds the caller there.
    Large photographs are fewer a batch, and are read when there is room for them.

    Attributes:
        most_bytes: of photographs that are in the three stages together; one alone may be larger.
        explainer: with the layers and rules that the writer needs.
        targets: to explain, as of `gradcam.targets`; empty for each picture's predicted class.
        writer: of the files.
        fit: `"stretch"` or `"crop"`.
        top: how many classes are told of each picture.
        shared: whether the maps of a picture's classes share a scale.
        reading: of arrays, `channels` and `bands` of `read_photograph`.
    """

    most_bytes = 3 * 2**27

    def __init__(
        self,
        explainer: Explainer,
        targets: Sequence[Asked],
        writer: Writer,
        fit: str = "stretch",
        top: int = TOP,
        shared: bool = False,
        **reading: Any,
    ):
        self.explainer, self.targets, self.writer, self.fit, self.reading = explainer, targets, writer, fit, reading
        self.top, self.shared = top, shared

    def close(self) -> None:
        """Ends the session, and TensorBoard's file."""
        self.explainer.close()
        if self.writer.events:
            self.writer.events.close()

    def write(self, names: Mapping[str, str], batch: int, outcome: Outcome | None = None) -> Outcome:
        """Explains all pictures, with a progress bar on a terminal and a printed table for each.

        Args:
            names: files or samples, as for `read_photograph`, and what their files' names begin with.
            batch: pictures a run, fewer if they are large.
            outcome: what is done already, which goes on; also where an interruption ends this.

        Returns:
            The outcome; pictures that fail are in it, and the others are done.

        Raises:
            KeyboardInterrupt: it says after how many pictures.
        """
        outcome = Outcome(len(names)) if outcome is None else outcome
        weigh = bytes_of if self.writer.keeps_whole else (lambda _: 0)
        room = Room(self.most_bytes)
        parts = portions(names, batch, weigh, self.most_bytes // 3)  # one being read, one explained, one written

        def read(part: tuple[list[str], int]) -> _Batch:
            sources, weight = part
            room.take(weight)
            return self._read({source: names[source] for source in sources}, weight)

        try:
            with (
                tqdm(total=outcome.total, initial=outcome.done, unit="picture", disable=None, leave=False) as progress,
                ahead(read, parts) as batches,
                ahead(self._explain, batches) as explained,
                room,
            ):
                for done, explanations in explained:
                    for report in self._reports(done, explanations):
                        outcome.add(report)
                    progress.update(len(done.sources))
                    weight = done.weight
                    del done, explanations  # before others take their room
                    room.give(weight)
        except KeyboardInterrupt:
            raise KeyboardInterrupt(f"stopped after {outcome.done} of {outcome.total} pictures") from None
        return outcome

    def reports(self, names: Mapping[str, str], places: Mapping[str, str]) -> list[Report]:
        """What becomes of a few pictures, one after another; nothing is said.

        Args:
            names: as of `write`.
            places: source -> where it is read, if that is elsewhere.
        """
        return list(self._reports(*self._explain(self._read(names, 0, places))))

    def _read(self, names: Mapping[str, str], weight: int, places: Mapping[str, str] | None = None) -> _Batch:
        size, images = self.explainer.network.image_size, []
        pictures: list[Picture] = []
        failures: Failures = []
        for source, name in names.items():
            place = (places or {}).get(source, source)
            try:
                photograph = read_photograph(place, self.fit, **self.reading)
                which, fitted = {**source_of(place), "source": source}, photograph.fitted(size)
            except MISTAKES as error:
                failures.append((source, error))
            else:
                images.append(fitted)
                pictures.append(self.writer.picture(name, which, photograph))
                del photograph  # there is one at a time
        return _Batch(list(names), weight, pictures, np.array(images), failures)

    def _explain(self, batch: _Batch) -> tuple[_Batch, list[list[Explanation]]]:
        """For each picture its explanations, one a class."""
        if len(self.targets) > 1:  # they share a picture's forward pass
            shared = [self.explainer.explain_classes(image, self.targets) for image in batch.images]
            return batch, [[classes[i] for i in range(len(self.targets))] for classes in shared]
        if not len(batch.images):
            return batch, []
        explanation = self.explainer.explain(batch.images, *self.targets)
        return batch, [[explanation[i]] for i in range(len(batch.images))]

    def _reports(self, batch: _Batch, explained: Sequence[Sequence[Explanation]]) -> Iterator[Report]:
        """Writes the files of each picture of a batch, and tells what became of it."""
        for picture, explanations in zip(batch.pictures, explained):
            source = picture.source["source"]
            targets = self.targets or [int(one.targets[0]) for one in explanations]
            try:
                peaks = self.writer.peaks(explanations) if self.shared else None
                written = [self.writer.write(picture, *pair, peaks) for pair in zip(explanations, targets)]
            except MISTAKES as error:
                yield Report(source, error)
                continue
            blank = [sentence for one in written for sentence in one.blank]
            row = self._row(picture, explanations, [file for one in written for file in one.files])
            checks = [line for one in written for line in one.checks]
            told = [f"  {sentence}" for sentence in (none_may_fit(explanations[0]), *blank, *checks) if sentence]
            lines = [self._heading(picture, row["files"]), *self._table(explanations[0]), *told]
            yield Report(source, None, row, len(blank), lines)
        for failure in batch.failures:
            yield Report(*failure)

    def _row(self, picture: Picture, explanations: Sequence[Explanation], files: list[str]) -> Row:
        labels = self.explainer.labels
        targets = self.targets or [int(one.targets[0]) for one in explanations]
        asked = [
            {
                **one_class(one, subject(target), labels, one.said_there[0]),
                "class": title(target, labels),
                **told(target),
            }
            for one, target in zip(explanations, targets)
        ]
        shown = predicted(explanations[0], labels, self.top)
        doubts = doubt(explanations[0])
        return {**picture.source, "predicted": shown, **doubts, "explained": asked, "files": files}

    def _heading(self, picture: Picture, files: Sequence[str]) -> str:
        """Which picture, and where its files are."""
        height, width = picture.size
        more = f" and {len(files) - 1} more" if len(files) > 1 else ""
        where = f" -> {self.writer.naming.folder / files[0]}{more}" if files else ""
        return f"{picture.source['source']} ({width} x {height}){where}"

    def _table(self, explanation: Explanation) -> list[str]:
        """The most probable classes, and those asked for, marked with a star."""
        share, said, labels = explanation.head != "linear", explanation.overall[0], self.explainer.labels
        if explanation.one_output and not share:  # one number, whatever it was explained for
            names = [title(target, labels) for target in self.targets or map(int, explanation.targets)]
            return [f"  {said[0]:9.4g}  explained: {', '.join(names)}"]
        lines = []
        top = [entry["index"] for entry in predicted(explanation, labels, self.top)]
        marked = {subject(target) for target in self.targets}
        for index in dict.fromkeys([*top, *(index for target in self.targets for index in classes(target))]):
            mark = " *" if index in marked else ""
            number = f"{said[index]:7.2%}" if share else f"{said[index]:9.4g}"
            lines.append(f"  {number}  {index:4d}  {class_name(index, labels)}{mark}")
        return lines
