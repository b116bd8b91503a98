"""Measurements -> tables in Markdown."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from peers import OURS, PEERS

from benchmarking.contests import Contest, Timing
from benchmarking.limits import SIZES, Limit
from benchmarking.seconds import Turns, ratio, spread
from benchmarking.startup import Startup

Column = tuple[str, int]  # task, batch

TASK_TITLES = {"cam": "CAM", "guided": "guided", "both": "CAM + guided", "classes": "10 classes"}
NETWORK_TITLES = {"vgg16": "VGG16", "resnet_v1_50": "ResNet-v1-50", "efficientnet_lite0": "EfficientNet-Lite0"}
NOTHING = "-"


def table(heading: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table in Markdown."""
    lines = [heading, ["---"] * len(heading), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def times(title: str, contests: Sequence[Contest], limits: Callable[[str, int], float]) -> str:
    """Milliseconds a picture: the limit, ours (of all contests together) and every peer.

    Args:
        title: of the table.
        contests: of one network in one precision.
        limits: (task, batch) -> ms a picture.
    """
    columns = _columns(contests)
    rows = [["limit", *(f"{limits(*column):.1f}" for column in columns)]]
    for peer, mine in _by_peer(contests).items():
        cells = [_cell(turns, column[1]) for column in columns for turns in [_turns(mine, peer, column)]]
        if any(cell != NOTHING for cell in cells):
            rows.append([PEERS[peer].title, *cells])
    return table([f"{title}, ms a picture", *map(_column_title, columns)], rows)


def ratios(title: str, contests: Sequence[Contest], limits: Callable[[str, int], float]) -> str:
    """Our time over the limit, and over every peer's; arguments as those of `times`."""
    columns = _columns(contests)
    rows = [["limit", *(_over_limit(contests, column, limits(*column)) for column in columns)]]
    for contest in contests:
        cells = [_ratio_cell(contest, column) for column in columns]
        if any(cell != NOTHING for cell in cells):
            rows.append([PEERS[contest.peer].title, *cells])
    return table([f"{title}, our time over that of", *map(_column_title, columns)], rows)


def startups(title: str, found: Sequence[Startup], import_seconds: Sequence[float]) -> str:
    """Seconds to the first map, and memory."""
    rows = [["python -c 'import tensorflow'", f"{np.median(import_seconds):.1f}", NOTHING, NOTHING]]
    for one in found:
        if one.seconds:
            memory = [NOTHING if mb is None else f"{mb:.0f}" for mb in (one.cam_mb, one.both_mb)]
            rows.append([PEERS[one.peer].title, f"{np.median(one.seconds):.1f}", *memory])
    return table([title, "first map, s", "peak MB, CAM", "peak MB, CAM + guided"], rows)


def machine_limits(answers: Mapping[str, Mapping[str, Any]], best: Mapping[str, Limit]) -> str:
    """What each framework got out of the machine: the best and, in brackets, the worst of its convolutions."""
    rows = []
    for precision in SIZES:
        for framework, answer in answers.items():
            found = answer[precision]
            cells = []
            for batch in sorted({one["batch"] for one in found["convolutions"]}):
                rates = [one["per_second"] / 1e9 for one in found["convolutions"] if one["batch"] == batch]
                cells.append(f"{max(rates):.0f} ({min(rates):.0f})")
            rows.append([precision, framework, f"{found['matmul'] / 1e9:.0f}", *cells, f"{found['bytes'] / 1e9:.1f}"])
        limit = best[precision]
        peak = f"{limit.convolution / 1e9:.0f}"
        rows.append([precision, "best", f"{limit.matmul / 1e9:.0f}", peak, peak, f"{limit.bandwidth / 1e9:.1f}"])
    heading = ["GFLOP/s", "", "matmul", "3x3 convolutions, batch 1", "batch 8", "memory read, GB/s"]
    return table(heading, rows)


def notes(contests: Sequence[Contest], found: Sequence[Startup]) -> list[str]:
    """What could not be measured, and why, a line each."""
    lines = [(one.network, one.precision, one.peer, note) for one in contests for note in one.notes]
    lines += [(one.network, one.precision, one.peer, one.note) for one in found if one.note]
    return [f"- {network}, {precision}, {PEERS[peer].title}: {note}" for network, precision, peer, note in lines]


def versions(contests: Sequence[Contest]) -> str:
    """Of everybody's libraries, in a line."""
    found = {name: version for contest in contests for name, version in contest.versions.items()}
    return ", ".join(f"{name} {version}" for name, version in sorted(found.items()))


def _columns(contests: Sequence[Contest]) -> list[Column]:
    """Those of which there is anything: one picture first, in the order of the titles."""
    there = {(timing.task, timing.batch) for contest in contests for timing in contest.timings}
    return sorted(there, key=lambda column: (column[1], list(TASK_TITLES).index(column[0])))


def _column_title(column: Column) -> str:
    task, batch = column
    return TASK_TITLES[task] + (f", batch {batch}" if batch > 1 else "")


def _by_peer(contests: Sequence[Contest]) -> dict[str, list[Contest]]:
    """Ours, which is in every contest, then each peer."""
    others = {contest.peer: [contest] for contest in contests if contest.peer != OURS}
    return {OURS: list(contests), **others}


def _timing(contest: Contest, column: Column) -> Timing | None:
    return next((one for one in contest.timings if (one.task, one.batch) == column), None)


def _turns(contests: Sequence[Contest], peer: str, column: Column) -> Turns:
    timings = [timing for contest in contests if (timing := _timing(contest, column))]
    return [turn for timing in timings for turn in timing.turns[peer]]


def _cell(turns: Turns, batch: int) -> str:
    if not turns:
        return NOTHING
    middle, first, third = (1000 * value / batch for value in spread(turns))
    digits = 1 if middle < 100 else 0
    return f"{middle:.{digits}f} ({first:.{digits}f}-{third:.{digits}f})"


def _ratio_cell(contest: Contest, column: Column) -> str:
    timing = _timing(contest, column)
    if timing is None or contest.peer == OURS:
        return NOTHING
    return f"{ratio(timing.turns[OURS], timing.turns[contest.peer]):.2f}"


def _over_limit(contests: Sequence[Contest], column: Column, limit: float) -> str:
    turns = _turns(contests, OURS, column)
    return f"{1000 * spread(turns)[0] / column[1] / limit:.2f}" if turns else NOTHING
