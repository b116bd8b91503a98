"""Workers in the place of this program: `--cluster` and `--workers`, and what they are told of network and pictures."""

from __future__ import annotations

import argparse
import contextlib
import copy
import dataclasses
import functools
import importlib.util
import pathlib
import tempfile
import threading
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from tqdm import tqdm

import slim_models
from gradcam.cli.explain import Outcome, Report, Reports
from gradcam.cli.network_flags import found_words, tell
from gradcam.cli.predictions import made_otherwise
from gradcam.cli.writer import in_the_way
from gradcam.cluster import Cluster, Job, connected
from gradcam.pictures import parts as parts_of, read_provenance
from gradcam.pipeline import portions
from gradcam.terminal import MISTAKES
from slim_models.files import whole_file
from slim_models.mistakes import BadValue, MissingPackage, Mistake
from slim_models.naming import exists

_writing = threading.Lock()  # of a worker: matplotlib bears no more than one


def check_cluster(args: argparse.Namespace) -> None:
    """Raises what is wrong with the flags of workers, and can be told at once."""
    if args.cluster is not None and args.workers is not None:
        raise BadValue("give either --cluster or --workers: the second starts workers here")
    if args.workers is not None and args.workers < 1:
        raise BadValue(f"--workers must be at least 1, not {args.workers}")
    if args.cluster is None and args.workers is None:
        for flag in ("send_pictures", "any_tensorflow"):
            if getattr(args, flag):
                raise BadValue(f"--{flag.replace('_', '-')} is of workers: it goes with --cluster or --workers")
    elif importlib.util.find_spec("distributed") is None:
        raise MissingPackage("--cluster and --workers need Dask: pip install 'gradcam-tf1[cluster]'")
    elif getattr(args, "tensorboard", None):
        raise BadValue("--tensorboard goes without --cluster and --workers: its file has one writer")


@contextlib.contextmanager
def cluster_of(args: argparse.Namespace) -> Iterator[Cluster | None]:
    """The workers that the flags mean; None if there are none; errors as of `connected`."""
    if args.cluster is None and args.workers is None:
        yield None
        return
    quiet = not getattr(args, "verbose", False)
    with connected(args.cluster, args.workers, say=lambda line: tqdm.write(line, _Told()), quiet=quiet) as cluster:
        yield cluster


class _Told:
    """Standard error, as `tell` says things, for tqdm to write to beside its bar."""

    def write(self, text: str) -> None:
        if text.strip():
            tell(text)

    def flush(self) -> None:
        """Nothing is held back."""


def opening_of(
    args: argparse.Namespace, network: slim_models.Network, layer: Sequence[str] | None = None
) -> Callable[[], slim_models.Network]:
    """What opens the same network on a worker: by name, or by a path that is the same there.

    Args:
        args: of the command line.
        network: as they have opened it here: the preprocessing that was found is not looked for again.
        layer: as of `slim_models.load`.
    """
    ours = args.network in (None, *slim_models.NETWORKS)
    found = found_words(args) if hasattr(args, "images_tensor") else {}
    if not ours:
        found["layer"] = layer
        if not found.get("prepared"):
            found["preprocessing"] = network.preprocessing
        if found.get("labels"):
            found["labels"] = _absolute(found["labels"])
    return functools.partial(
        slim_models.open_network,
        args.network if ours else _absolute(args.network),
        args.weights and _absolute(args.weights),
        image_size=network.image_size if not ours or getattr(args, "image_size", None) else None,
        averages=getattr(args, "averages", None),
        say=_silent,
        **found,
    )


def _silent(line: str) -> None:
    """What is said of a network was said by the program that asks."""


def _absolute(path: str) -> str:
    """A path for processes that work in another folder; anything else as it is."""
    return str(pathlib.Path(path).absolute()) if exists(path) else path


class _Asked(NamedTuple):
    """A picture that a worker is to explain: what it is called, where it is, and its file if that is sent."""

    source: str
    name: str
    place: str
    data: bytes | None


Written = Mapping[str, bytes]  # name below the folder -> file


@dataclasses.dataclass(frozen=True)
class Elsewhere:
    """Workers that explain pictures and write their files, in this program's place.

    Attributes:
        cluster: the workers.
        args: of the command line.
        reports: what would explain here: the workers' network has to be this one.
    """

    cluster: Cluster
    args: argparse.Namespace
    reports: Reports

    def write(self, names: Mapping[str, str], batch: int, outcome: Outcome) -> Outcome:
        """As `Reports.write`; the files are written by the workers, or if pictures are sent by this program."""
        args, explainer = self.args, self.reports.explainer
        opened = opening_of(args, explainer.network, args.layer)
        there = argparse.Namespace(**{**vars(args), "out": str(pathlib.Path(args.out).absolute()), "tensorboard": None})
        job = Job(
            uuid.uuid4().hex,
            functools.partial(_reporting, opened, there, args.out, self.reports.writer.about.get("found", ())),
            explainer.provenance(),
            args.any_tensorflow,
        )
        parts = portions(names, batch, lambda _: 0, 1)
        asked = ([self._asked(source, names[source]) for source in part] for part, _ in parts)
        progress = tqdm(total=outcome.total, initial=outcome.done, unit="picture", disable=None, leave=False)
        try:
            with progress, self.cluster.results(job, asked, _failure) as results:
                for reports, files in results:
                    for report in reports:
                        outcome.add(self._placed(report, files))
                    progress.update(len(reports))
        except KeyboardInterrupt:
            raise KeyboardInterrupt(f"stopped after {outcome.done} of {outcome.total} pictures") from None
        return outcome

    def _asked(self, source: str, name: str) -> _Asked:
        place = source if source.startswith("sample:") else str(pathlib.Path(source).absolute())
        path = pathlib.Path(parts_of(place)[0])
        data = path.read_bytes() if self.args.send_pictures and path.is_file() else None
        return _Asked(source, name, place, data)

    def _placed(self, report: Report, files: Written) -> Report:
        """Writes the files that a worker has sent back of a picture, unless others are in their place."""
        try:
            for file in report.row["files"] if report.row and files else ():
                self._place(file, files[file])
        except MISTAKES as error:
            return Report(report.source, error)
        return report

    def _place(self, file: str, data: bytes) -> None:
        path = self.reports.writer.naming.folder / file
        with whole_file(path) as temporary:
            temporary.write_bytes(data)
            if path.exists() and not self.args.force:
                how = made_otherwise(path, read_provenance(temporary))
                if how:
                    raise in_the_way([(path, how)])


def _failure(result: tuple[Sequence[Report], Written]) -> Exception | None:
    """The first picture of a part that could not be explained."""
    return next((report.error for report in result[0] if report.error is not None), None)


def _reporting(
    opened: Callable[[], slim_models.Network], args: argparse.Namespace, said: str, found: Sequence[str]
) -> tuple[Callable[[Sequence[_Asked]], tuple[list[Report], Written]], Mapping[str, Any]]:
    """On a worker: what explains a part, and by what.

    Args:
        opened: opens the network.
        args: of the command line.
        said: what the folder of the files is called.
        found: as of `reports_of`.
    """
    from gradcam.cli.reporting import reports_of

    reports = reports_of(args, opened(), _silent, found)
    return functools.partial(_reported, reports, said, args.send_pictures), reports.explainer.provenance()


def _reported(reports: Reports, said: str, sent: bool, part: Sequence[_Asked]) -> tuple[list[Report], Written]:
    """The reports of a part, and the files if its pictures were sent."""
    names = {asked.source: asked.name for asked in part}
    with _writing, tempfile.TemporaryDirectory() as folder:
        place = pathlib.Path(folder)
        places = {asked.source: _here(asked, place / "pictures" / str(n)) for n, asked in enumerate(part)}
        if sent:
            writer, reports = reports.writer, copy.copy(reports)
            naming = dataclasses.replace(writer.naming, folder=place / "out")
            reports.writer = dataclasses.replace(writer, naming=naming)
        calls = {str(reports.writer.naming.folder): said, **{p: source for source, p in places.items()}}
        made = [_told(report, calls) for report in reports.reports(names, places)]
        names_of = [name for report in made if report.row for name in report.row["files"]] if sent else []
        return made, {name: (place / "out" / name).read_bytes() for name in names_of}


def _here(asked: _Asked, folder: pathlib.Path) -> str:
    """Where a worker reads a picture."""
    if asked.data is None:
        return asked.place
    path, number = parts_of(asked.place)
    file = folder / pathlib.PurePath(path).name
    folder.mkdir(parents=True)
    file.write_bytes(asked.data)
    return f"{file}" if number is None else f"{file}[{number}]"


def _told(report: Report, calls: Mapping[str, str]) -> Report:
    """A report in the words of the program that asks, for whom files and folders are called otherwise."""

    def text(line: str) -> str:
        for there, here in calls.items():
            line = line.replace(there, here)
        return line

    error = report.error
    if isinstance(error, Mistake):
        error = type(error)(text(str(error)))
    return report._replace(error=error, lines=[text(line) for line in report.lines])
