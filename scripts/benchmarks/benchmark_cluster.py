"""What workers add to a run over a data set, and how it scales; and what a list of a million pictures takes.

    python scripts/benchmarks/benchmark_cluster.py --count 1600 --workers 1 2 4
    python scripts/benchmarks/benchmark_cluster.py --names 1300000

The first measures `gradcam evaluate localization` on made-up JPEGs by one process, and by so many workers of Dask on
this machine; all have one thread, so that a worker has one core. A row is of the pictures after the first two batches
of each worker, when all networks are open: pictures a second, processor time a picture of all processes, and beside it
what a part without work costs this program, which has the scheduler in it. The second lists made-up names of ILSVRC's
training pictures and goes through them as a run does, with rows that no network has made.
"""

from __future__ import annotations

import argparse
import contextlib
import functools
import itertools
import json
import os
import pathlib
import resource
import tempfile
import time
import uuid
from collections.abc import Iterator, Sequence
from typing import Any

from benchmarking.machine import describe
from benchmarking.photographs import make_photographs, parse_size

from gradcam.cluster import Cluster, Job, connected
from gradcam.evaluation import Elsewhere, Journal, Localization, evaluate, running
from gradcam.evaluation.datasets import Example, ilsvrc, reading
from gradcam.methods import methods_named
from gradcam.terminal import quiet_tensorflow, run_script
from slim_models.mistakes import BadValue

METHODS = ("grad_cam", "layer_cam")


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--network", default="efficientnet_lite0", metavar="NAME", help="default: %(default)s")
    parser.add_argument("--count", type=int, default=800, metavar="N", help="JPEGs (default: %(default)s)")
    parser.add_argument("--size", default="500x375", metavar="WxH", help="of a JPEG (default: %(default)s)")
    parser.add_argument("--batch", type=int, default=10, metavar="N", help="pictures a part (default: %(default)s)")
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2, 4], metavar="N", help="default: 1 2 4")
    parser.add_argument("--send-pictures", action="store_true", help="send the JPEGs with the parts")
    parser.add_argument("--names", type=int, metavar="N", help="measure the memory of so many names instead")
    parser.add_argument("--json", type=pathlib.Path, metavar="FILE", help="write the numbers there too")
    args = parser.parse_args(argv)
    if min(args.count, args.batch, *args.workers, args.names or 1) < 1:
        raise BadValue("--count, --batch, --workers and --names must be at least 1")
    if args.count < (least := 10 * args.batch * max(args.workers)):
        raise BadValue(f"--count must be at least {least}: ten parts a worker, of which the first two do not count")
    os.environ["TF_NUM_INTRAOP_THREADS"] = os.environ["TF_NUM_INTEROP_THREADS"] = "1"
    rows = memory_of_names(args.names) if args.names else speeds(args)
    if args.json:
        args.json.write_text(json.dumps({"machine": describe(), "rows": rows}, indent=1))


def speeds(args: argparse.Namespace) -> list[dict[str, Any]]:
    """A row for one process, and for each number of workers; printed as they come."""
    print(f"{'':12s} {'pictures/s':>10s} {'CPU ms/picture':>15s} {'ms/empty part':>14s} {'seconds to begin':>17s}")
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        files = make_photographs(pathlib.Path(folder), args.count, parse_size(args.size), 0)
        boxes = ((10.0, 10.0, 100.0, 100.0),)
        examples = [Example(pathlib.Path(p).stem, n % 1000, boxes, reading.InFile(p)) for n, p in enumerate(files)]
        parts = [examples[start : start + args.batch] for start in range(0, len(examples), args.batch)]
        for workers in (0, *args.workers):
            row = {"workers": workers, **(_with_workers(args, parts, workers) if workers else _alone(args, parts))}
            rows.append(row)
            name = f"{workers} worker{'s' * (workers > 1)}" if workers else "one process"
            empty = f"{row['empty_part_ms']:14.2f}" if workers else " " * 14
            speed, cost = row["pictures_per_second"], row["cpu_ms"]
            print(f"{name:12s} {speed:10.2f} {cost:15.1f} {empty} {row['begin_seconds']:17.1f}", flush=True)
    return rows


def _alone(args: argparse.Namespace, parts: Sequence[Sequence[Example]]) -> dict[str, float]:
    begun = time.perf_counter()
    with quiet_tensorflow():
        from gradcam.explainer import Explainer
    import slim_models

    explainer = Explainer(slim_models.open_network(args.network), rules=())
    with explainer, running.here(explainer, _measure(None), "stretch")(parts) as results:
        return _timed(results, args.batch, 2, begun, [os.getpid()])


def _with_workers(args: argparse.Namespace, parts: Sequence[Sequence[Example]], workers: int) -> dict[str, float]:
    import slim_models
    from gradcam.explainer import Explainer

    begun = time.perf_counter()
    with connected(workers=workers, say=print) as cluster:
        opened = functools.partial(slim_models.open_network, args.network)
        elsewhere = Elsewhere(cluster, opened, _measure, args.send_pictures)
        with Explainer(opened(), rules=()) as explainer:
            explainer.provenance()
            with elsewhere.rows(explainer, None, "stretch", parts) as results:
                pids = [os.getpid(), *cluster.client.run(os.getpid).values()]
                row = _timed(results, args.batch, 2 * workers, begun, pids)
        return {**row, "empty_part_ms": _empty(cluster)}


def _measure(_: object) -> Localization:
    return Localization(methods_named(METHODS))


def _timed(results: Iterator[Any], batch: int, first: int, begun: float, pids: Sequence[int]) -> dict[str, float]:
    """What pictures cost after the first parts."""
    for _ in itertools.islice(results, first):
        pass
    start, cpu = time.perf_counter(), sum(map(_cpu_seconds, pids))
    count = batch * sum(1 for _ in results)
    seconds, cpu = time.perf_counter() - start, sum(map(_cpu_seconds, pids)) - cpu
    return {"pictures_per_second": count / seconds, "cpu_ms": 1000 * cpu / count, "begin_seconds": start - begun}


def _cpu_seconds(pid: int) -> float:
    """Of a process so far, in user mode and in the system; Linux."""
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _empty(cluster: Cluster, count: int = 500) -> float:
    """Milliseconds a part without work, of the processor and in this program, which has the scheduler in it."""
    versions = {"versions": {"gradcam": "", "tensorflow": ""}}
    made = {**versions, **dict.fromkeys(("network", "weights", "preprocessing", "precision"))}
    job = Job(uuid.uuid4().hex, functools.partial(tuple, [len, made]), made)
    with cluster.results(job, ["part"] * count) as results:
        next(results)
        start = _cpu_seconds(os.getpid())
        rest = sum(1 for _ in results)
    return 1000 * (_cpu_seconds(os.getpid()) - start) / rest


def memory_of_names(count: int) -> list[dict[str, Any]]:
    """Memory of this process at each step of a run over so many pictures of 1,000 classes, in MiB; printed."""
    rows: list[dict[str, Any]] = []

    def step(name: str) -> None:
        now = next(line for line in pathlib.Path("/proc/self/status").read_text().splitlines() if "VmRSS" in line)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        rows.append({"step": name, "now": int(now.split()[1]) / 1024, "peak": peak, "seconds": time.perf_counter()})
        print(f"{name:32s} {rows[-1]['now']:7.0f} MiB {peak:7.0f} at most", flush=True)

    def made_up(root: pathlib.Path) -> Iterator[pathlib.Path]:
        for number in range(count):
            wnid = f"n{1_000_000 + number % 1000:08d}"
            yield root / wnid / f"{wnid}_{number}.JPEG"

    measure = _measure(None)
    row = {"rank": 3, "iou": dict.fromkeys([*METHODS, "whole picture", "centred box, half the area"], 1 / 3)}

    @contextlib.contextmanager
    def there(parts: Any) -> Iterator[Iterator[Any]]:
        yield ([row] * len(part) for part in parts)

    step("before")
    ilsvrc.picture_files = made_up
    examples = ilsvrc.ilsvrc_examples("train")
    step(f"{count:,} pictures listed")
    with tempfile.TemporaryDirectory() as folder:
        journal = Journal(pathlib.Path(folder, "rows.jsonl"), {})
        evaluate(_AnyClass(), examples, measure, journal, batch=250, there=there)
        step("all rows in the journal")
        measure.tables(journal.rows, "")
        step("tables made")
    return rows


class _AnyClass:
    """As much of an explainer as a run elsewhere needs."""

    def index(self, target: str) -> int:
        return 0


if __name__ == "__main__":
    run_script("benchmark_cluster", main)
