"""What this machine can do at best, and what that makes of a task."""

from __future__ import annotations

import dataclasses
import importlib.util
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from benchmarking import probe
from benchmarking.processes import Failure, run_module
from benchmarking.work import Layer, task_macs
from slim_models.mistakes import BadValue

SIZES = {"float32": 4, "bfloat16": 2}  # bytes of a number


@dataclasses.dataclass(frozen=True)
class Limit:
    """The best that was seen in a precision, of any framework.

    Attributes:
        convolution: operations a second of the best convolution; a multiplication and an addition are two.
        matmul: those of a product of large matrices.
        bandwidth: bytes a second, read from memory.
    """

    convolution: float
    matmul: float
    bandwidth: float

    def ms(self, layers: Sequence[Layer], task: str, batch: int, precision: str) -> float:
        """Milliseconds a picture below which nobody gets: operations, and at batch 1 every weight read once.

        Args:
            layers: of the network.
            task: of `peers.TASKS`.
            batch: pictures at a time.
            precision: a key of `SIZES`.
        """
        seconds = 2 * task_macs(layers, task) / self.convolution
        if batch == 1:
            seconds += SIZES[precision] * sum(layer.values for layer in layers) / self.bandwidth
        return 1000 * seconds


def measure(layers: Sequence[Layer], seconds: float, say: Callable[[str], None]) -> dict[str, dict[str, Any]]:
    """Every installed framework's answer (see `probe`), by its name.

    Args:
        layers: whose 3x3 convolutions are measured.
        seconds: for each number.
        say: is told what is going on.
    """
    shapes = sorted({(*layer.places, *layer.kernel) for layer in layers if layer.kernel[0] == 3})
    answers = {}
    for framework in probe.FRAMEWORKS:
        if importlib.util.find_spec(framework) is None:
            continue
        say(f"limits: {framework}")
        flags = ["--convolutions", json.dumps(shapes), "--seconds", str(seconds)]
        try:
            answers[framework] = run_module("benchmarking.probe", framework, *flags).answer
        except Failure as failure:
            say(f"limits: {framework} failed: {failure}")
    return answers


def best(answers: Mapping[str, Mapping[str, Any]]) -> dict[str, Limit]:
    """Precision -> the best of all frameworks.

    Raises:
        ValueError: no framework answered.
    """
    if not answers:
        raise BadValue("no framework could measure the machine's limits")
    found = {}
    for precision in SIZES:
        of = [answer[precision] for answer in answers.values()]
        found[precision] = Limit(
            convolution=max(one["per_second"] for answer in of for one in answer["convolutions"]),
            matmul=max(answer["matmul"] for answer in of),
            # Bytes are bytes, whatever they mean: the best of both precisions.
            bandwidth=max(answer[any_]["bytes"] for answer in answers.values() for any_ in SIZES),
        )
    return found
