"""Cases of damage tried: what a reader makes of each, within 10 seconds and 2 GB, and in a process that may die.

A reader of Python's own is tried in the process that asks, others in one of their own, which is begun again if it ends.
"""

import contextlib
import json
import os
import pathlib
import random
import re
import resource
import shutil
import signal
import subprocess
import sys
import threading
import traceback
import warnings
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from fuzzing.forked import Forks
from fuzzing.mutations import mutated
from fuzzing.readers import READERS, Values

SECONDS, MEMORY = 10, 2 * 2**30  # of one case
_START = 1200  # seconds until a process has its libraries
_PATIENCE = 20  # by the clock, so many times the seconds of the processor

Plan = Sequence[tuple[str, range]]  # readers, and the numbers of the cases of each


class Case(NamedTuple):
    """What came of one case.

    Attributes:
        reader: its name.
        number: of the case, which makes it again.
        outcome: `read`, `refused`, or what is wrong.
        text: of the refusal, or the fault.
        seconds: that it took.
    """

    reader: str
    number: int
    outcome: str
    text: str = ""
    seconds: float = 0.0

    @property
    def is_fault(self) -> bool:
        return self.outcome not in ("read", "refused")


class OutOfTime(BaseException):
    """No `except Exception` catches it."""


def damage(name: str, number: int, folder: pathlib.Path, whole: pathlib.Path) -> str:
    """Writes the files of a case into an empty folder: those of the reader, one of them damaged; its name."""
    reader = READERS[name]
    drawn = random.Random(f"{name} {number}")
    file = drawn.choice(sorted(reader.files))
    shutil.copytree(whole, folder, dirs_exist_ok=True)
    with warnings.catch_warnings():  # of what is mutated
        warnings.simplefilter("ignore")
        content = mutated(drawn, (whole / file).read_bytes(), reader.files[file])
    (folder / file).write_bytes(content)
    (folder / ".damaged").write_text(pathlib.Path(file).name)
    return file


def whole_files(name: str, folder: pathlib.Path) -> Values:
    """Writes a reader's undamaged files, and returns what is read of them."""
    whole = folder / "whole"
    whole.mkdir(parents=True)
    READERS[name].write(whole)
    shutil.copytree(whole, folder / "read")
    return READERS[name].read(folder / "read")


def tried(name: str, number: int, folder: pathlib.Path, expected: Values) -> Case:
    """One case in this process."""
    from slim_models.mistakes import Mistake

    place = folder / "case"
    shutil.rmtree(place, ignore_errors=True)
    file = damage(name, number, place, folder / "whole")
    began, before = _now(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    outcome, text = "read", ""
    try:
        with _limited(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found = READERS[name].read(place)
        outcome, text = _judged(found, expected, READERS[name].sums)
    except Mistake as mistake:
        outcome, text = _line(mistake, file, READERS[name].called)
    except OSError as error:  # told in a line too, if it names the file
        outcome, text = ("refused", str(error)) if error.filename else _raised(error)
    except OutOfTime:
        outcome, text = "too long", traceback.format_exc(limit=-6)
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        outcome, text = _raised(error)
    seconds, grown = _now() - began, (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024
    if grown > MEMORY:
        outcome, text = "too much memory", f"{grown / 2**30:.1f} GB: {text}"
    case = Case(name, number, outcome, f"{file}: {text}" if text else "", seconds)
    if case.is_fault:  # another case would take its place
        shutil.copytree(place, folder / f"fault-{number}", dirs_exist_ok=True)
    return case


def _raised(error: BaseException) -> tuple[str, str]:
    return "raised", "".join(traceback.format_exception(error))[-3000:]


def _line(mistake: BaseException, file: str, called: str) -> tuple[str, str]:
    """A refusal has to be a line with the name of the file or of its folder, or of the network that is called so."""
    text = str(mistake)
    if len(text) > 3000:
        return "a refusal as long as a page", text[:500]
    names = ["case", called, *(word for part in pathlib.Path(file).parts for word in (part, part.partition(".")[0]))]
    named = any(re.search(rf"\b{re.escape(name)}\b", text) for name in names if name)
    return ("refused", text) if named else ("a refusal that names no file", text)


def _judged(found: Values, expected: Values, sums: bool) -> tuple[str, str]:
    """What is wrong with values that were read without a word."""
    for name, value in found.items():
        array = np.asarray(value) if isinstance(value, (np.ndarray, float, int)) else None
        if array is None:
            continue
        if sums and name in expected and not np.array_equal(array, expected[name]):
            return "another value than was written", name
        # A class that is left out has minus infinity, as the logarithm of a probability.
        if name in ("heatmap", "logits") and not np.isfinite(array[~np.isneginf(array)]).all():
            return "not finite", name
    return "read", ""


@contextlib.contextmanager
def _limited() -> Iterator[None]:
    """The time of a case, the processor's, and several times as much by the clock: a machine may have other work.

    Only Python's own code is stopped by it.
    """
    if threading.current_thread() is not threading.main_thread() or not hasattr(signal, "setitimer"):
        yield
        return

    def stop(*_):
        raise OutOfTime

    timers = {signal.SIGPROF: (signal.ITIMER_PROF, SECONDS), signal.SIGALRM: (signal.ITIMER_REAL, _PATIENCE * SECONDS)}
    before = {number: signal.signal(number, stop) for number in timers}
    for timer, seconds in timers.values():
        signal.setitimer(timer, seconds)
    try:
        yield
    finally:
        for number, (timer, _) in timers.items():
            signal.setitimer(timer, 0)
            signal.signal(number, before[number])


def _now() -> float:
    """The processor's seconds of this process and of those that it has waited for."""
    return sum(os.times()[:4])


def in_process(name: str, numbers: range, folder: pathlib.Path) -> Iterator[Case]:
    """Cases in this process, whose readers are Python's own."""
    expected = whole_files(name, folder)
    for number in numbers:
        yield tried(name, number, folder, expected)


def apart(plan: Plan, folder: pathlib.Path) -> Iterator[Case]:
    """Cases in a process of its own, which is begun again where one has ended it or kept it."""
    left = [(name, numbers) for name, numbers in plan if numbers]
    while left:
        shutil.rmtree(folder, ignore_errors=True)
        for case in _Child(left, folder).cases():
            yield case
            while left[0][0] != case.reader:
                del left[0]
            left[0] = (case.reader, range(case.number + 1, left[0][1].stop))
        left = [(name, numbers) for name, numbers in left if numbers]


class _Child:
    """A process that tries cases."""

    def __init__(self, plan: Plan, folder: pathlib.Path):
        places = [pathlib.Path(__file__).parents[1], pathlib.Path(__file__).parents[3]]
        paths = os.pathsep.join([*map(str, places), os.environ.get("PYTHONPATH", "")])
        environment = {**os.environ, "PYTHONPATH": paths, "TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": "-1"}
        told = json.dumps([[name, numbers.start, numbers.stop] for name, numbers in plan])
        self._process = subprocess.Popen(
            [sys.executable, "-m", "fuzzing.trying", str(folder), told],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
        )
        self._said, self._killed = "", False

    def cases(self) -> Iterator[Case]:
        """What comes of them; of one that ends the process, that, as the last one."""
        last, done, watch = None, False, self._watch(_START)
        reading = threading.Thread(target=self._listen, daemon=True)
        reading.start()
        try:
            for line in self._process.stdout:
                if not line.startswith('{"reader"'):
                    continue
                watch.cancel()
                told = json.loads(line)
                last, done = (told["reader"], told["number"]), "outcome" in told
                watch = self._watch(_START if done else 2 * _PATIENCE * SECONDS)
                if done:
                    yield Case(**told)
            self._process.wait()
            reading.join(5)
            said = f"{self._process.returncode}: {self._said[-2000:]}"
            if self._process.returncode and last is None:
                raise RuntimeError(f"not even whole files can be read: {said}")
            if self._process.returncode or not done:
                yield Case(*last, "too long" if self._killed else "ended the process", said)
        finally:
            watch.cancel()
            self._process.kill()
            self._process.wait()
            self._process.stdout.close()

    def _listen(self) -> None:
        for line in self._process.stderr:
            self._said = (self._said + line)[-10000:]
        self._process.stderr.close()

    def _watch(self, seconds: float) -> threading.Timer:
        def end():
            self._killed = True
            self._process.kill()

        timer = threading.Timer(seconds, end)
        timer.daemon = True
        timer.start()
        return timer


def main(folder: str, told: str) -> None:
    """Tries cases, a line of JSON for each before it begins and when it is done."""
    from slim_models.weights import hdf5

    hdf5.subprocess = Forks()
    for place, (name, first, last) in enumerate(json.loads(told)):
        files = pathlib.Path(folder) / str(place)
        expected = whole_files(name, files)
        taken = int(pathlib.Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (taken + 3 * MEMORY, resource.getrlimit(resource.RLIMIT_AS)[1]))
        for number in range(first, last):
            print(json.dumps({"reader": name, "number": number}), flush=True)
            print(json.dumps(tried(name, number, files, expected)._asdict()), flush=True)
        shutil.rmtree(files / "case", ignore_errors=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
