"""One peer in a process of its own, which does what it is asked in lines of JSON.

    python -m peers.worker NAME --network NETWORK --weights PATH --precision PRECISION

in the folder `scripts`. It first says {"ready": seconds since the process began, "versions": {...}}; to
{"task": ..., "batch": N, "repeat": R} it answers {"seconds": [...]}, each of a whole batch; with "save": FILE.npz in
place of "repeat" it writes the maps there and answers {"saved": FILE.npz}; to {"memory": true} it answers
{"peak_mb": ...}. "targets" may give the classes, which else are the predicted ones. What goes wrong is
{"error": ...}. The end of the input ends it.

With `--first-map FILE.png` it makes the heat map of one picture instead, says {"peak_mb": ...}, and ends.
"""

from __future__ import annotations

import argparse
import importlib
import json
import pathlib
import sys
import time
from typing import Any

import numpy as np

from peers import PEERS, PRECISIONS, TASKS, pictures
from peers.arrays import Arrays
from peers.process import peak_mb, prepare, private_output, seconds_since_start, versions


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name", choices=PEERS)
    parser.add_argument("--network", required=True, help="see gradcam networks")
    parser.add_argument("--weights", required=True, type=pathlib.Path, help="a file, or a folder of plain arrays")
    parser.add_argument("--precision", choices=PRECISIONS, default=PRECISIONS[0])
    parser.add_argument("--size", type=int, default=224, help="of the pictures (default: %(default)s)")
    parser.add_argument("--first-map", metavar="FILE.png", help="make one heat map and end")
    args = parser.parse_args(argv)
    output = private_output()

    def say(answer: dict[str, Any]) -> None:
        print(json.dumps(answer), file=output, flush=True)

    try:
        prepare()
        worker = Worker(args.name, args.network, args.weights, args.precision, args.size)
        if args.first_map:
            worker.first_map(args.first_map)
            say({"peak_mb": peak_mb()})
            return 0
        say({"ready": seconds_since_start(), "versions": versions(PEERS[args.name].requires)})
    except Exception as error:  # whatever a library raises
        say(_failure(error))
        return 1
    for line in sys.stdin:
        try:
            say(worker.answer(json.loads(line)))
        except Exception as error:
            say(_failure(error))
    return 0


class Worker:
    """A peer with a network, and the pictures."""

    def __init__(self, name: str, network: str, weights: pathlib.Path, precision: str, size: int):
        values: Any = weights if PEERS[name].reads_files else _arrays(weights)
        self.peer = importlib.import_module(f"peers.{name}").Peer(network, values, precision)
        self.size = size

    def answer(self, request: dict[str, Any]) -> dict[str, Any]:
        """Does what a request asks.

        Raises:
            KeyError, ValueError: it asks for nothing that there is; and whatever the peer's library raises.
        """
        if "memory" in request:
            return {"peak_mb": peak_mb()}
        task, batch, targets = request["task"], request["batch"], request.get("targets")
        if task not in TASKS:
            raise ValueError(f"no task {task!r}; the tasks are {', '.join(TASKS)}")
        images = pictures.draw(batch, self.size)
        if task == "classes" and targets is None:
            targets = range(pictures.CLASSES)
        classes = None if targets is None else np.array(targets)
        if "save" in request:
            np.savez(request["save"], **self.peer.run(task, images, classes))
            return {"saved": request["save"]}
        return {"seconds": [self._seconds(task, images, classes) for _ in range(request["repeat"])]}

    def first_map(self, path: str) -> None:
        """Writes the heat map of one picture."""
        import cv2  # not by those who are only timed

        from gradcam import maps

        cam = self.peer.run("cam", pictures.draw(1, self.size), None)["cam"]
        colours = maps.colorize(maps.heatmap(cam, (self.size, self.size))[0])
        if not cv2.imwrite(path, colours[..., ::-1]):
            raise OSError(f"{path} cannot be written")

    def _seconds(self, task: str, images: np.ndarray, targets: np.ndarray | None) -> float:
        began = time.perf_counter()
        self.peer.run(task, images, targets)
        return time.perf_counter() - began


def _arrays(weights: pathlib.Path) -> Any:
    if weights.is_dir():
        return Arrays(weights)
    from slim_models import read_weights  # with it comes TensorFlow

    return read_weights(weights)


def _failure(error: Exception) -> dict[str, str]:
    return {"error": " ".join(f"{type(error).__name__}: {error}".split())[:300]}


if __name__ == "__main__":
    sys.exit(main())
