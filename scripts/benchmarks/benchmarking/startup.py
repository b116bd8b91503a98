"""What it takes to begin: from the start of a process to the first heat map on the disk, and memory."""

from __future__ import annotations

import dataclasses
import pathlib
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence

import numpy as np
from peers import PEERS

from benchmarking.processes import Failure, Task, Worker, run_module

PATIENT = 15.0  # seconds: who takes longer is measured once


@dataclasses.dataclass
class Startup:
    """Of one peer with one network.

    Attributes:
        network: its name.
        precision: of `peers.PRECISIONS`.
        peer: its name.
        seconds: from the start of a process to the heat map of one picture on the disk, a number a run.
        cam_mb: the most memory of such a process, in megabytes.
        both_mb: that of one that made CAM and guided backprop of one picture, where it can.
        note: what failed.
    """

    network: str
    precision: str
    peer: str
    seconds: list[float] = dataclasses.field(default_factory=list)
    cam_mb: float | None = None
    both_mb: float | None = None
    note: str = ""


def measure(task: Task, peers: Sequence[str], rounds: int, say: Callable[[str], None]) -> list[Startup]:
    """Measures the peers turn by turn.

    Args:
        task: the network and its weights.
        peers: their names.
        rounds: processes of each, to the first map.
        say: is told what is going on.
    """
    found = [Startup(task.network, task.precision, peer) for peer in peers]
    for number in range(rounds):
        for startup in found:
            if not startup.note and not (number and max(startup.seconds) > PATIENT):
                _first_map(startup, task)
    for startup in found:
        if "both" in PEERS[startup.peer].tasks and not startup.note:
            startup.both_mb = _memory(startup, task)
        seconds = f"{np.median(startup.seconds):.1f} s" if startup.seconds else startup.note
        say(f"{task.network} {task.precision} first map, {startup.peer}: {seconds}")
    return found


def import_tensorflow(rounds: int) -> list[float]:
    """Seconds of processes that import TensorFlow and do nothing else."""
    found = []
    for _ in range(rounds):
        began = time.perf_counter()
        subprocess.run([sys.executable, "-c", "import tensorflow"], capture_output=True, check=True)
        found.append(time.perf_counter() - began)
    return found


def _first_map(startup: Startup, task: Task) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = str(pathlib.Path(folder) / "map.png")
        try:
            run = run_module("peers.worker", *task.flags(startup.peer), "--first-map", path)
        except Failure as failure:
            startup.note = f"first map: {failure}"
            return
    startup.seconds.append(run.seconds)
    startup.cam_mb = run.answer["peak_mb"]


def _memory(startup: Startup, task: Task) -> float | None:
    try:
        with Worker(startup.peer, task) as worker:
            worker.ask(task="both", batch=1, repeat=2)
            return worker.ask(memory=True)["peak_mb"]
    except Failure as failure:
        startup.note = f"memory: {failure}"
        return None
