"""A run of `gradcam explain` from its beginning to its end, and what is said of it."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING

from gradcam.cli.explain import Outcome, Reports
from gradcam.cli.predictions import made_otherwise, write_predictions
from gradcam.cli.resuming import Resuming
from gradcam.cli.writer import in_the_way
from gradcam.terminal import message

if TYPE_CHECKING:
    from gradcam.cli.clusters import Elsewhere


def explained(
    reports: Reports, names: Mapping[str, str], batch: int, skip: bool, there: Elsewhere | None = None
) -> Outcome:
    """Explains what is left of some pictures, and says in the end what became of them.

    Args:
        reports: with its writer.
        names: source -> what its files' names begin with.
        batch: pictures a run.
        skip: leave out pictures of which all files are there.
        there: workers that explain in this program's place; None is here.

    Raises:
        ValueError: files are there that were made otherwise, and the writer may not write over them.
        KeyboardInterrupt: it says after how many pictures; what is done is in the table of predictions.
    """
    begun, writer = time.monotonic(), reports.writer
    naming, several = writer.naming, len(names) > 1
    table = naming.table()
    left, outcome = Resuming(writer, reports.targets, reports.explainer.network.num_classes, skip).begin(names)
    how = made_otherwise(f"{table}.json", writer.made) if several and not writer.force else ""
    if how:
        raise in_the_way([(table.with_name(f"{table.name}.json"), how)])
    before = outcome.done
    layers, methods = ", ".join(naming.layers), ", ".join(naming.methods)
    print(f"{naming.network} (weights {naming.weights}): {methods} of {layers}")
    if before:
        print(f"{before} of {outcome.total} pictures are done already")
    try:
        (there or reports).write(left, batch, outcome)
    finally:
        if several and outcome.rows:
            write_predictions(table, outcome.rows, writer.made)
    _tell(outcome, before, time.monotonic() - begun, reports, several)
    return outcome


def _tell(outcome: Outcome, before: int, seconds: float, reports: Reports, several: bool) -> None:
    """The failures, and how many pictures there are, of how many seconds, and where."""
    if outcome.total > 1:
        for source, error in outcome.failures:
            said = message(error)
            print(f"gradcam: {said if source in said else f'{source}: {said}'}", file=sys.stderr)
        if outcome.failures:
            print(f"gradcam: {len(outcome.failures)} of {outcome.total} pictures failed", file=sys.stderr)
    if not outcome.done:
        return
    count = outcome.done - before
    parts = [f"{count} picture{'s' * (count != 1)} in {seconds:.1f} s"]
    parts += [f"{before} done before"] * bool(before)
    parts += [f"{outcome.blank} blank map{'s' * (outcome.blank != 1)}"] * bool(outcome.blank)
    parts += [f"{outcome.doubted} of which no class may fit"] * bool(outcome.doubted and several)
    naming = reports.writer.naming
    where = f", and what was predicted in {naming.table()}.csv and .json" if several else ""
    print(f"{', '.join(parts)}: the files are in {naming.folder}{where}")
