"""How much of the session's speed a folder of photographs gets, from JPEGs read to overlays written.

    python scripts/benchmarks/benchmark_folder.py --quick
    python scripts/benchmarks/benchmark_folder.py --network vgg16 --weights vgg16.npy --json folder.json

makes JPEGs, then measures in turns (a) the session alone, fed pictures that lie ready in memory, and (b) the code
of `gradcam explain --write overlay` on the folder, with the same explainer. Both are made of the processor's time,
so (b) can at best reach a / (a + w / cores), where a is what a picture costs the session and w what reading and
writing it cost a core; the script measures w too, a stage at a time.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import io
import json
import os
import pathlib
import statistics
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence

import numpy as np
from benchmarking.photographs import make_photographs, parse_size

from gradcam.terminal import quiet_tensorflow, run_script
from slim_models.mistakes import BadValue

with quiet_tensorflow():
    import tensorflow

    import slim_models
    from gradcam.cams import grad_cam
    from gradcam.cli import explain, naming, writer
    from gradcam.explainer import Explainer
    from gradcam.maps import LOOK
    from gradcam.pictures import Photograph, read_photograph, write_png

OUTPUTS = ["overlay"]


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--network", default="resnet_v1_50_tiny", metavar="NAME", help="default: %(default)s")
    parser.add_argument("--weights", metavar="PATH", help="default: the network's file in weights/")
    parser.add_argument("--count", type=int, default=512, metavar="N", help="JPEGs (default: %(default)s)")
    parser.add_argument("--quick", action="store_const", dest="count", const=64, help="64 JPEGs")
    parser.add_argument("--size", default="500x375", metavar="WxH", help="of a JPEG (default: %(default)s)")
    parser.add_argument("--batch", type=int, default=8, metavar="N", help="pictures a run (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=3, metavar="N", help="default: %(default)s")
    parser.add_argument("--seed", type=int, default=0, help="of the JPEGs (default: %(default)s)")
    parser.add_argument("--json", type=pathlib.Path, metavar="FILE", help="write the numbers there too")
    args = parser.parse_args(argv)
    if min(args.count, args.batch, args.rounds) < 1:
        raise BadValue("--count, --batch and --rounds must be at least 1")
    size = parse_size(args.size)
    network = slim_models.open_network(args.network, args.weights).check_photographs()
    with (
        tempfile.TemporaryDirectory() as folder,
        Explainer(network, rules=writer.rules_for(OUTPUTS)) as explainer,
    ):
        sources = make_photographs(pathlib.Path(folder), args.count, size, args.seed)
        measured = measure(explainer, sources, args.batch, args.rounds)
        stages = measure_stages(explainer, sources[:50])
    measured = dataclasses.replace(measured, stages=stages)
    print(measured.table(f"{args.network}, {args.count} JPEGs of {args.size}, batches of {args.batch}"))
    if args.json:
        settings = {**vars(args), "json": str(args.json), "tensorflow": tensorflow.__version__}
        args.json.write_text(json.dumps({"settings": settings, **measured.numbers()}, indent=2) + "\n")
        print(args.json)


@dataclasses.dataclass(frozen=True)
class Measured:
    """Seconds a picture: of the rounds, of the session alone and of the folder; and of the stages beside it."""

    session: Sequence[float]
    folder: Sequence[float]
    stages: Mapping[str, float] = dataclasses.field(default_factory=dict)

    def numbers(self) -> dict[str, object]:
        session, folder = statistics.median(self.session), statistics.median(self.folder)
        beside, cores = sum(self.stages.values()), os.cpu_count() or 1
        return {
            "session_pictures_a_second": 1 / session,
            "folder_pictures_a_second": 1 / folder,
            "ratio": session / folder,
            "ratio_if_no_core_ever_waited": session / (session + beside / cores),
            "cores": cores,
            "seconds_a_picture": {"session": self.session, "folder": self.folder, "stages": self.stages},
        }

    def table(self, title: str) -> str:
        numbers = self.numbers()
        lines = [
            title,
            f"  the session alone     {numbers['session_pictures_a_second']:8.1f} pictures a second",
            f"  the folder            {numbers['folder_pictures_a_second']:8.1f} pictures a second",
            f"  ratio                 {numbers['ratio']:8.3f}, and with {numbers['cores']} cores that never waited "
            f"{numbers['ratio_if_no_core_ever_waited']:.3f}",
            "  beside the session, on one core: "
            + ", ".join(f"{stage} {1000 * seconds:.1f} ms" for stage, seconds in self.stages.items()),
        ]
        return "\n".join(lines)


def measure(explainer: Explainer, sources: Sequence[str], batch: int, rounds: int) -> Measured:
    """Both ways in turns, the other one first in every second round; a batch of each before."""
    size = explainer.network.image_size
    fitted = np.array([read_photograph(source).fitted(size) for source in sources])
    batches = [fitted[start : start + batch] for start in range(0, len(fitted), batch)]
    ways: dict[str, Callable[[int], object]] = {
        "session": lambda limit: [explainer.explain(images) for images in batches[:limit]],
        "folder": lambda limit: explain_folder(explainer, sources[: limit * batch], batch),
    }
    seconds: dict[str, list[float]] = {way: [] for way in ways}
    for way in ways.values():
        way(1)
    for number in range(rounds):
        for way in list(ways)[:: 1 if number % 2 == 0 else -1]:
            began = time.perf_counter()
            ways[way](len(batches))
            seconds[way].append((time.perf_counter() - began) / len(sources))
    return Measured(seconds["session"], seconds["folder"])


def explain_folder(explainer: Explainer, sources: Sequence[str], batch: int) -> None:
    """What `gradcam explain --write overlay` does, but for starting and for showing what it prints."""
    network = explainer.network
    with tempfile.TemporaryDirectory() as out, contextlib.redirect_stdout(io.StringIO()):
        layers = [network.default_layer]
        files = naming.Naming(pathlib.Path(out), layers, ["grad_cam"], network.name, explainer.labels)
        made = writer.Writer(files, OUTPUTS, LOOK, explainer.provenance())
        names = naming.names_of(sources, {source: pathlib.Path(source).stem for source in sources})
        failures = explain.Reports(explainer, [], made).write(names, batch).failures
    if failures:
        raise failures[0][1]


def measure_stages(explainer: Explainer, sources: Sequence[str]) -> dict[str, float]:
    """Seconds that each stage beside the session takes for a picture, alone."""
    photographs = [read_photograph(source) for source in sources]
    explanation = explainer.explain(photographs[0].fitted(explainer.network.image_size)[None])
    heatmap = photographs[0].heatmap(explanation.cam()[0])
    overlay = photographs[0].overlay(heatmap)
    with tempfile.TemporaryDirectory() as folder:
        stages: dict[str, Callable[[str, Photograph], object]] = {
            "decoding": lambda source, photograph: read_photograph(source),
            "fitting": lambda source, photograph: photograph.fitted(explainer.network.image_size),
            "heat map": lambda source, photograph: photograph.heatmap(explanation.cam(grad_cam)[0]),
            "overlay": lambda source, photograph: photograph.overlay(heatmap),
            "PNG": lambda source, photograph: write_png(pathlib.Path(folder) / "overlay.png", overlay),
        }
        return {name: _seconds(stage, sources, photographs) for name, stage in stages.items()}


def _seconds(
    stage: Callable[[str, Photograph], object], sources: Sequence[str], photographs: Sequence[Photograph]
) -> float:
    """The median over pictures."""
    times = []
    for source, photograph in zip(sources, photographs):
        began = time.perf_counter()
        stage(source, photograph)
        times.append(time.perf_counter() - began)
    return statistics.median(times)


if __name__ == "__main__":
    run_script("benchmark_folder", main)
