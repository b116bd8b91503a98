"""Measures this project beside the libraries that make the same maps, and beside what the machine can do at best.

    python scripts/benchmarks/benchmark.py --quick
    pip install -r scripts/benchmark-requirements.txt
    python scripts/benchmarks/benchmark.py --json out/benchmark.json

Everybody gets the same random weights, the same pictures, two processors and a process of its own. Whose maps are
not ours is not timed; with everybody else ours takes turns. Who is not installed is left out. `--quick` is one picture
in float32 beside hand-written PyTorch alone, in two minutes; all of it takes an hour or two, 3 GB on the disk and
15 GB of memory.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import itertools
import json
import pathlib
import sys
import tempfile
from collections.abc import Iterator, Sequence
from typing import Any

from benchmarking.measuring import positive

from gradcam.terminal import quiet_tensorflow, run_script
from slim_models.mistakes import UnknownName

with quiet_tensorflow():
    from benchmarking import contests, files, limits, machine, startup, tables, work
    from benchmarking.processes import Task
    from peers import OURS, PEERS, PRECISIONS

    from slim_models import NETWORKS, build
    from slim_models.files import whole_file


@dataclasses.dataclass(frozen=True)
class Amount:
    """How much is measured, unless flags say otherwise."""

    peers: Sequence[str]
    precisions: Sequence[str]
    rounds: int
    batches: Sequence[int] = (1,)
    starts: int = 1  # processes of each, to the first map
    seconds: float = 0.1  # for each number of the limits


QUICK = Amount((OURS, "plain_torch"), ("float32",), rounds=8)
FULL = Amount(tuple(PEERS), PRECISIONS, rounds=12, batches=(1, 8), starts=3, seconds=0.5)


def main(argv: list[str] | None = None) -> None:
    args = arguments().parse_args(argv)
    amount = QUICK if args.quick else FULL
    changes = {"peers": args.peers, "precisions": args.precision, "rounds": args.rounds}
    amount = dataclasses.replace(amount, **{name: value for name, value in changes.items() if value})
    check(args.networks, amount)
    report: dict[str, Any] = {"machine": machine.describe(), "networks": []}
    write(report, args.json)  # a mistake in the name is told before an hour of work
    print(*(f"- {name}: {value}" for name, value in report["machine"].items()), sep="\n")
    amount = dataclasses.replace(amount, peers=installed(amount.peers))
    report["limits"] = limits.measure(work.layers(build("vgg16")), amount.seconds, say)
    best = limits.best(report["limits"])
    print("", tables.machine_limits(report["limits"], best), sep="\n", flush=True)
    report["import_tensorflow"] = startup.import_tensorflow(amount.starts)
    with weights_folder(args.weights_folder) as folder:
        for network, precision in itertools.product(args.networks, amount.precisions):
            task = files.provide(network, precision, folder, say)
            report["networks"].append(measure(task, amount, best[precision], report["import_tensorflow"]))
            write(report, args.json)


def arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="two minutes")
    parser.add_argument("--json", type=pathlib.Path, metavar="FILE", help="write every number there")
    names = ["vgg16", "resnet_v1_50"]
    parser.add_argument("--networks", nargs="+", default=names, metavar="NAME", help=f"default: {' '.join(names)}")
    parser.add_argument("--peers", nargs="+", metavar="NAME", help=f"of {', '.join(PEERS)} (default: all)")
    parser.add_argument("--precision", nargs="+", choices=PRECISIONS, help="default: both")
    parser.add_argument("--rounds", type=positive, metavar="N", help=f"turns of each (default: {FULL.rounds})")
    parser.add_argument(
        "--weights-folder", type=pathlib.Path, metavar="DIR", help="take weights from there, and leave them there"
    )
    return parser


def check(networks: Sequence[str], amount: Amount) -> None:
    """Raises a KeyError for what there is not."""
    for kind, names, known in (("network", networks, NETWORKS), ("peer", amount.peers, PEERS)):
        for name in names:
            if name not in known:
                raise UnknownName(f"no {kind} {name!r}; there are {', '.join(known)}")


def installed(peers: Sequence[str]) -> list[str]:
    """Those of the peers that can be measured, ours first; says what the others lack."""
    found = [OURS]
    for peer in dict.fromkeys(peers):
        missing = PEERS[peer].missing()
        if missing:
            print(f"- {PEERS[peer].title}: left out, {', '.join(missing)} not installed")
        elif peer != OURS:
            found.append(peer)
    return found


def measure(task: Task, amount: Amount, best: limits.Limit, import_seconds: Sequence[float]) -> dict[str, Any]:
    """Measures everybody with one network in one precision, prints the tables, and returns what is behind them."""
    network, precision = task.network, task.precision
    layers = work.layers(build(network))
    able = [peer for peer in amount.peers if PEERS[peer].takes(network, precision)]
    others = [peer for peer in able if peer != OURS] or [OURS]
    held = [contests.hold(task, peer, amount.batches, amount.rounds, say) for peer in others]
    begun = startup.measure(task, able, amount.starts, say)

    def limit(of: str, batch: int) -> float:
        return best.ms(layers, of, batch, precision)

    title = f"{tables.NETWORK_TITLES.get(network, network)}, {precision}"
    for text in (
        tables.times(title, held, limit),
        tables.ratios(title, held, limit),
        tables.startups(title, begun, import_seconds),
        "\n".join([*tables.notes(held, begun), f"- {tables.versions(held)}"]),
    ):
        print("", text, sep="\n", flush=True)
    return {
        "network": network,
        "precision": precision,
        "gmac": {of: work.task_macs(layers, of) / 1e9 for of in tables.TASK_TITLES},
        "limit_ms": {f"{of}, {batch}": limit(of, batch) for of in tables.TASK_TITLES for batch in amount.batches},
        "contests": list(map(dataclasses.asdict, held)),
        "startups": list(map(dataclasses.asdict, begun)),
    }


@contextlib.contextmanager
def weights_folder(path: pathlib.Path | None) -> Iterator[pathlib.Path]:
    """The folder of that name, or one that is gone afterwards."""
    if path is not None:
        path.mkdir(parents=True, exist_ok=True)
        yield path
        return
    with tempfile.TemporaryDirectory() as folder:
        yield pathlib.Path(folder)


def write(report: dict[str, Any], path: pathlib.Path | None) -> None:
    if path is not None:
        with whole_file(path) as temporary:
            temporary.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")


def say(text: str) -> None:
    """Tells what is going on, beside the tables."""
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    run_script("benchmark", main)
