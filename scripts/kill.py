"""Kills runs at random moments, and tells what is not whole afterwards.

    python scripts/kill.py --kills 30

Three kinds of run in turns: pictures are explained, weights are converted over others, and localization is measured.
Each is killed by SIGKILL at some moment of a whole run. Then every file under its own name has to be one that a whole
run writes (of what is replaced, the old one will do), and the same command, run again to its end, has to leave what a
run that nobody killed leaves, to the byte, and nothing else. The exit code is 1 if anything is otherwise.
"""

from __future__ import annotations

import argparse
import dataclasses
import pathlib
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping

import numpy as np

import slim_models
from gradcam.terminal import run_script
from slim_models.mistakes import BadValue

Files = Mapping[str, bytes]


@dataclasses.dataclass(frozen=True)
class Kind:
    """A kind of run.

    Attributes:
        arguments: of `gradcam`; OUT stands for its folder.
        before: what is in the folder before it begins.
        grows: how the names end of files that are written line by line.
    """

    arguments: tuple[str, ...]
    before: Callable[[pathlib.Path], None] = lambda folder: None
    grows: str = ".jsonl"


WEIGHTS = slim_models.find_weights("resnet_v1_50_tiny")


def _other_weights(folder: pathlib.Path) -> None:
    weights = slim_models.read_weights(WEIGHTS)
    slim_models.write_weights(folder / "weights.ckpt", {name: np.zeros_like(array) for name, array in weights.items()})


NETWORK = ("--network", "resnet_v1_50_tiny")
SAMPLES = ("sample:chelsea", "sample:coffee", "sample:rocket")
KINDS = {
    "explain": Kind(("explain", *SAMPLES, *NETWORK, "--batch", "1", "--skip-existing", "--out", "OUT")),
    "convert": Kind(
        ("convert", str(slim_models.find_weights("resnet_v1_50_tiny")), "OUT/weights.ckpt"), _other_weights
    ),
    "localization": Kind(
        ("evaluate", "localization", "--data", "samples", *NETWORK, "--batch", "1", "--out", "OUT/table.png")
    ),
}


def main(argv: list[str] | None = None) -> int:
    """1 if something was not whole."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=9, metavar="N", help="how many (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, metavar="NUMBER", help="of the moments (default: 0)")
    args = parser.parse_args(argv)
    if args.kills < 1:
        raise BadValue(f"--kills must be at least 1, not {args.kills}")
    rng, faults = random.Random(args.seed), 0
    with tempfile.TemporaryDirectory() as place:
        folder = pathlib.Path(place, "out")
        whole = {name: _whole(kind, folder) for name, kind in KINDS.items()}
        for number in range(args.kills):
            name = list(KINDS)[number % len(KINDS)]
            before, after, seconds = whole[name]
            moment = seconds * rng.uniform(0.3, 1.1)  # the first third is TensorFlow's import
            found = _killed(KINDS[name], folder, moment, before, after)
            faults += bool(found)
            print(f"{number + 1}/{args.kills} {name}, killed after {moment:.2f} s: {found or 'whole'}", flush=True)
    print(f"{args.kills} kills, {faults} faults")
    return int(faults > 0)


def _whole(kind: Kind, folder: pathlib.Path) -> tuple[Files, Files, float]:
    """What is there before a run and after it, and how long it takes."""
    _prepare(kind, folder)
    before, began = _files(folder), time.monotonic()
    _run(kind, folder)
    return before, _files(folder), time.monotonic() - began


def _killed(kind: Kind, folder: pathlib.Path, moment: float, before: Files, after: Files) -> str:
    """What is wrong after a run that is killed, and after it has been run again; empty if nothing is."""
    _prepare(kind, folder)
    process = subprocess.Popen(_command(kind, folder), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        process.wait(moment)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    wrong = [name for name, data in _files(folder).items() if not _is_of(name, data, kind, before, after)]
    if wrong:
        return f"after the kill: {', '.join(wrong)}"
    _run(kind, folder)
    again = _files(folder)
    wrong = sorted(name for name in {*again, *after} if again.get(name) != after.get(name))
    return f"after the second run: {', '.join(wrong)}" if wrong else ""


def _is_of(name: str, data: bytes, kind: Kind, before: Files, after: Files) -> bool:
    """Whether a file that a killed run has left is a whole one, or no file of the run's names at all."""
    if ".writing-" in name:
        return True
    if name.endswith(kind.grows):
        return after.get(name, b"").startswith(data[: data.rfind(b"\n") + 1])
    return data in (before.get(name), after.get(name)) or name.startswith("predictions.")


def _prepare(kind: Kind, folder: pathlib.Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    kind.before(folder)


def _command(kind: Kind, folder: pathlib.Path) -> list[str]:
    arguments = [argument.replace("OUT", str(folder)) for argument in kind.arguments]
    return [sys.executable, "-m", "gradcam", *arguments]


def _run(kind: Kind, folder: pathlib.Path) -> None:
    result = subprocess.run(_command(kind, folder), capture_output=True, text=True)
    if result.returncode:
        raise BadValue(f"{' '.join(_command(kind, folder))} ends with {result.returncode}: {result.stderr.strip()}")


def _files(folder: pathlib.Path) -> dict[str, bytes]:
    paths = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}


if __name__ == "__main__":
    run_script("kill", main)
