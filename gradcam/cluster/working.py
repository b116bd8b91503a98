"""What a worker does: it opens a network once, and works on parts of the pictures."""

from __future__ import annotations

import collections
import dataclasses
import threading
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from gradcam.terminal import quiet_tensorflow
from slim_models.mistakes import BadValue, Mistake

if TYPE_CHECKING:
    import distributed

Work = Callable[[Any], Any]  # a part -> what comes of it
_MOST = 2  # jobs whose networks a worker keeps: that of another run that shares the cluster
_opened: collections.OrderedDict[str, tuple[Work, Mapping[str, str]]] = collections.OrderedDict()
_lock = threading.Lock()


@dataclasses.dataclass(frozen=True)
class Job:
    """What all parts of a run have in common; it is sent along with each of them, and so is small.

    Attributes:
        key: of this run alone.
        make: opens the network on the worker: what works on a part, and the explainer's `provenance`.
        made: the provenance of the program that asks, which the worker's has to equal.
        any_tensorflow: whether TensorFlow may be of another version.
    """

    key: str
    make: Callable[[], tuple[Work, Mapping[str, Any]]]
    made: Mapping[str, Any]
    any_tensorflow: bool = False


class Done(NamedTuple):
    """What a worker says of a part.

    Attributes:
        result: of the work; None if it failed.
        error: why it failed.
        refused: whether it was not the part: this worker can do nothing of this job.
        versions: of the worker's programs.
    """

    result: Any
    error: Exception | None = None
    refused: bool = False
    versions: Mapping[str, str] = {}


def dask_setup(worker: distributed.Worker) -> None:
    """Is called by Dask in workers that are started here, whose terminal is the user's."""
    quiet_tensorflow()


def work_on(job: Job, part: Any) -> Done:
    """Works on a part, by a network that is opened when its first part comes. A user's mistakes are returned.

    They are not raised: whatever a worker raises comes with a traceback of ours.
    """
    try:
        work, versions = _work_of(job)
    except (Mistake, OSError) as error:
        return Done(None, error, refused=True)
    try:
        return Done(work(part), versions=versions)
    except (Mistake, OSError) as error:
        return Done(None, error, versions=versions)


def _work_of(job: Job) -> tuple[Work, Mapping[str, str]]:
    with _lock:
        if job.key not in _opened:
            work, made = job.make()
            check_same(job.made, made, job.any_tensorflow)
            _opened[job.key] = work, made["versions"]
            while len(_opened) > _MOST:
                _opened.popitem(last=False)  # whose session ends with the last part that it is at
        _opened.move_to_end(job.key)
        return _opened[job.key]


def check_same(ours: Mapping[str, Any], theirs: Mapping[str, Any], any_tensorflow: bool = False) -> None:
    """Whether two processes compute the same.

    Args:
        ours: the provenance of the program that asks, as of `Explainer.provenance`.
        theirs: the worker's.
        any_tensorflow: whether TensorFlow may be of another version.

    Raises:
        ValueError: they differ in the project's version, in TensorFlow's, or in the network and its values.
    """
    versions, there = ours["versions"], theirs["versions"]
    for program in ("gradcam", "tensorflow"):
        if versions[program] != there[program] and not (any_tensorflow and program == "tensorflow"):
            hint = "; --any-tensorflow takes it all the same" if program == "tensorflow" else ""
            raise BadValue(f"it has {program} {there[program]}, and this program {versions[program]}{hint}")
    for key in ("network", "weights", "preprocessing", "precision"):
        if ours[key] != theirs[key]:
            raise BadValue(f"its network is another: {key} {theirs[key]!r}, not {ours[key]!r}")
