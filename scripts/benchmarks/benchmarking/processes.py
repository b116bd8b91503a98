"""Processes that answer in lines of JSON: workers that are asked again and again, and modules that answer once."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import pathlib
import subprocess
import sys
import tempfile
import threading
import time
from typing import Any

from peers import PEERS

SCRIPTS = pathlib.Path(__file__).resolve().parent.parent
PATIENCE = 900  # seconds for one answer


class Failure(Exception):
    """What a process said instead of an answer, or what became of it."""


@dataclasses.dataclass(frozen=True)
class Task:
    """What a peer is to work on.

    Attributes:
        network: its name.
        file: of its weights, in one of our formats.
        arrays: folder of the same weights as `peers.arrays` has them.
        size: height and width of the pictures.
        precision: of `peers.PRECISIONS`.
    """

    network: str
    file: pathlib.Path
    arrays: pathlib.Path
    size: int
    precision: str

    def flags(self, name: str) -> list[str]:
        """Of `peers.worker`, for the peer of that name."""
        weights = self.file if PEERS[name].reads_files else self.arrays
        words = ["--network", self.network, "--weights", weights.resolve(), "--size", self.size]
        return [name, *map(str, words), "--precision", self.precision]


class Worker:
    """A peer in a process of its own; a context, at whose end the process ends.

    Attributes:
        name: of the peer.
        versions: of its libraries.
    """

    def __init__(self, name: str, task: Task):
        """Starts it and waits until its network is built.

        Raises:
            Failure: it could not.
        """
        self.name = name
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 (until `close`)
        command = [sys.executable, "-m", "peers.worker", *task.flags(name)]
        pipe = subprocess.PIPE
        self._process = subprocess.Popen(
            command, cwd=SCRIPTS, stdin=pipe, stdout=pipe, stderr=self._errors, text=True, encoding="utf-8"
        )
        try:
            self.versions = self._answer()["versions"]
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Worker:
        return self

    def __exit__(self, *_: Any) -> None:
        self.close()

    def ask(self, **request: Any) -> dict[str, Any]:
        """Its answer to a request of `peers.worker`.

        Raises:
            Failure: the answer is an error, or the process died, or took too long.
        """
        with contextlib.suppress(OSError):  # it has died; _answer says of what
            self._process.stdin.write(json.dumps(request) + "\n")
            self._process.stdin.flush()
        return self._answer()

    @property
    def alive(self) -> bool:
        return self._process.poll() is None

    def close(self) -> None:
        self._process.kill()  # it holds nothing that it would have to put away
        self._process.communicate()
        self._errors.close()

    def _answer(self) -> dict[str, Any]:
        timer = threading.Timer(PATIENCE, self._process.kill)
        timer.start()
        try:
            line = self._process.stdout.readline()
        finally:
            timer.cancel()
        if not line:
            code = self._process.wait()
            self._errors.seek(0)
            raise Failure(f"{self.name}: {_died(code, self._errors.read())}")
        try:
            return _checked(line)
        except Failure as failure:
            raise Failure(f"{self.name}: {failure}") from None


@dataclasses.dataclass(frozen=True)
class Run:
    """A process that is over: what it answered, and the seconds from its start to its end."""

    answer: dict[str, Any]
    seconds: float


def run_module(module: str, *arguments: str) -> Run:
    """Runs a module of `scripts` that answers in one line.

    Raises:
        Failure: the answer is an error, or there is none.
    """
    began = time.perf_counter()
    try:
        result = subprocess.run(
            [sys.executable, "-m", module, *arguments], cwd=SCRIPTS, capture_output=True, timeout=PATIENCE
        )
    except subprocess.TimeoutExpired as error:
        raise Failure(f"no answer in {PATIENCE} s") from error
    seconds = time.perf_counter() - began
    if not result.stdout:
        raise Failure(_died(result.returncode, result.stderr))
    return Run(_checked(result.stdout.decode()), seconds)


def _checked(line: str) -> dict[str, Any]:
    answer = json.loads(line)
    if "error" in answer:
        raise Failure(answer["error"])
    return answer


def _died(code: int, errors: bytes) -> str:
    """Why, in a line: the last that it printed."""
    lines = errors.decode(errors="replace").split("\n")
    last = next((line.strip() for line in reversed(lines) if line.strip()), "nothing said")
    return f"the process ended with {code}: {last[:200]}"
