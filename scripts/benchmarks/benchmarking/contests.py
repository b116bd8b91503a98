"""Ours against a peer: first whether they make the same maps, then who is quicker, turn by turn."""

from __future__ import annotations

import contextlib
import dataclasses
import pathlib
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from peers import OURS, PEERS

from benchmarking.agreement import THRESHOLDS, correlations
from benchmarking.processes import Failure, Task, Worker

Say = Callable[[str], None]

# Ours is made anew when another kind of map is asked for, so tasks of one kind follow each other.
ORDER = ("cam", "classes", "guided", "both")
TURN = 0.4  # seconds, about, that one is measured before it is the other's turn: machines change within seconds
MOST = 5  # runs in a turn
PAUSE = 0.25  # between turns: idle threads of the one before still spin for up to 0.2 s
CHECKED = 2  # pictures whose maps are compared


@dataclasses.dataclass(frozen=True)
class Timing:
    """One task of a contest.

    Attributes:
        task: of `peers.TASKS`.
        batch: pictures at a time.
        turns: peer -> turn by turn -> seconds of each run, for the whole batch.
    """

    task: str
    batch: int
    turns: Mapping[str, Sequence[Sequence[float]]]


@dataclasses.dataclass
class Contest:
    """Ours and one peer, or ours alone.

    Attributes:
        network: its name.
        precision: of `peers.PRECISIONS`.
        peer: the other one's name; `ours` if there is none.
        versions: of the libraries of both.
        agreement: task -> kind of map -> correlation with ours.
        timings: what was measured.
        notes: what was not, and why.
    """

    network: str
    precision: str
    peer: str
    versions: dict[str, str] = dataclasses.field(default_factory=dict)
    agreement: dict[str, dict[str, float]] = dataclasses.field(default_factory=dict)
    timings: list[Timing] = dataclasses.field(default_factory=list)
    notes: list[str] = dataclasses.field(default_factory=list)


def hold(task: Task, peer: str, batches: Sequence[int], rounds: int, say: Say) -> Contest:
    """Holds a contest; what fails is noted in it.

    Args:
        task: the network and its weights.
        peer: who is against ours; `ours` for ours alone.
        batches: pictures at a time; the classes' task has always one.
        rounds: turns of each.
        say: is told what is going on.
    """
    contest = Contest(task.network, task.precision, peer)
    with contextlib.ExitStack() as stack:
        try:
            workers = [stack.enter_context(Worker(name, task)) for name in dict.fromkeys((OURS, peer))]
        except Failure as failure:
            contest.notes.append(f"does not start: {failure}")
            return contest
        contest.versions = {name: version for worker in workers for name, version in worker.versions.items()}
        for name in ORDER:
            if name in PEERS[peer].tasks and all(worker.alive for worker in workers):
                _hold_task(contest, workers, name, (1,) if name == "classes" else batches, rounds, say)
    return contest


def _hold_task(
    contest: Contest, workers: list[Worker], task: str, batches: Sequence[int], rounds: int, say: Say
) -> None:
    try:
        if len(workers) == 2:
            contest.agreement[task] = agreement(workers, task, contest.precision)
            if not agree(contest.agreement[task], contest.precision):
                found = ", ".join(f"{kind} {value:.3f}" for kind, value in contest.agreement[task].items())
                contest.notes.append(f"{task}: the maps are not ours (correlation: {found}); not timed")
                return
        for batch in batches:
            timing = alternate(workers, task, batch, rounds)
            contest.timings.append(timing)
            found = ", ".join(f"{name} {1000 * _middle(turns) / batch:.1f}" for name, turns in timing.turns.items())
            say(f"{contest.network} {contest.precision} {task}, {batch} at a time: {found} ms a picture")
    except (Failure, ValueError) as error:
        contest.notes.append(f"{task}: {error}")


def agreement(workers: Sequence[Worker], task: str, precision: str) -> dict[str, float]:
    """Kind of map -> how alike two workers' are, in the picture where they are least.

    Raises:
        Failure: one of them could not make them.
        ValueError: the maps cannot be compared.
    """
    batch = 1 if task == "classes" else CHECKED
    # In bfloat16 the highest of random logits may be another one; the maps of given classes are compared.
    targets = list(range(batch)) if precision == "bfloat16" and task != "classes" else None
    maps = []
    with tempfile.TemporaryDirectory() as folder:
        for number, worker in enumerate(workers):
            path = pathlib.Path(folder) / f"{number}.npz"
            worker.ask(task=task, batch=batch, save=str(path), targets=targets)
            with np.load(path, allow_pickle=False) as arrays:
                maps.append(dict(arrays))
    first, second = maps
    return correlations(first, second)


def agree(found: Mapping[str, float], precision: str) -> bool:
    """Whether maps are alike enough for the precision."""
    return all(value >= THRESHOLDS[precision] for value in found.values())


def alternate(workers: Sequence[Any], task: str, batch: int, rounds: int, pause: float = PAUSE) -> Timing:
    """A B A B ...: everybody's turn in every round.

    Args:
        workers: have a `name` and `ask`, as `Worker`.
        task: of `peers.TASKS`.
        batch: pictures at a time.
        rounds: turns of each.
        pause: seconds before a turn.

    Raises:
        Failure: of a worker.
    """
    repeats = {}
    for worker in workers:  # the first run also builds what the task needs
        took = worker.ask(task=task, batch=batch, repeat=2)["seconds"][-1]
        repeats[worker.name] = max(1, min(MOST, int(TURN / max(took, 1e-9))))
    turns: dict[str, list[list[float]]] = {worker.name: [] for worker in workers}
    for _ in range(rounds):
        for worker in workers:
            time.sleep(pause)
            turns[worker.name].append(worker.ask(task=task, batch=batch, repeat=repeats[worker.name])["seconds"])
    return Timing(task, batch, turns)


def _middle(turns: Sequence[Sequence[float]]) -> float:
    return float(np.median(np.concatenate(turns)))
