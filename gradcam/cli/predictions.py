"""The table of what a network says of each picture, beside the pictures' files."""

from __future__ import annotations

import csv
import json
import os
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from gradcam import strangers
from gradcam.explanation import Explanation
from gradcam.pictures import KEY, read_provenance, write_json
from slim_models.files import parsed_json, read_text, whole_file
from slim_models.labels import Labels, class_name
from slim_models.mistakes import BadValue

# What runs may differ in whose files are still the same: what pictures and weights are called and when they were made.
_INCIDENTAL = ("source", "weights_from", "size", "versions", "predicted", "probability", "output", "blank", "none_fits")
Row = dict[str, Any]  # one picture: `source`, `source_sha256`, `predicted`, `none_fits` if known, `explained`, `files`


def predicted(explanation: Explanation, labels: Labels | None, top: int) -> list[dict[str, Any]]:
    """The classes that a network finds likeliest in one picture, as JSON has them.

    Args:
        explanation: of the picture alone.
        labels: of the classes, if they are known.
        top: how many.

    Returns:
        For each its `index`, `class`, and `probability`, or `output` where the head is linear; of one linear output,
        which is a single number, the direction that it takes.
    """
    top = 1 if explanation.one_output and explanation.head == "linear" else top
    numbers = explanation.logits if explanation.logits.ndim == 2 else explanation.overall
    order = np.argsort(-numbers[0], kind="stable")[:top].tolist()
    return [one_class(explanation, index, labels, explanation.overall[0, index]) for index in order]


def one_class(explanation: Explanation, index: int, labels: Labels | None, said: float) -> dict[str, Any]:
    """What a network says of one class of one picture, as JSON has it."""
    kind = "output" if explanation.head == "linear" else "probability"
    return {"index": index, "class": class_name(index, labels), kind: float(f"{said:.6g}")}


def doubt(explanation: Explanation) -> dict[str, bool]:
    """Whether none of a network's classes may fit one picture, as JSON has it; empty where that is not known."""
    return {} if explanation.none_fits is None else {"none_fits": bool(explanation.none_fits[0])}


def none_may_fit(explanation: Explanation) -> str:
    """What is said of one picture if none of the network's classes may fit, and by what; else empty."""
    limits = explanation.thresholds
    if limits is None or not strangers.none_fits(explanation.logits, limits)[0]:
        return ""
    top, energy = explanation.said[0].max(), strangers.log_sum_exp(explanation.logits)[0]
    return (
        "none of this network's classes may fit: the highest probability is below "
        f"{limits.probability:.1%} ({top:.1%}), the log-sum-exp below {limits.log_sum_exp:.2f} ({energy:.2f})"
    )


def differences(found: Mapping[str, Any], expected: Mapping[str, Any]) -> str:
    """In what two files were made differently, in words; empty if they are of the same pictures and numbers.

    Not told apart are the versions of programs, under which numbers differ in their last digits at most, and what a
    picture was called.
    """
    wanted = json.loads(json.dumps(expected))
    keys = [key for key in {**wanted, **found} if key not in _INCIDENTAL and found.get(key) != wanted.get(key)]
    return ", ".join(f"{key} {found.get(key)!r}, not {wanted.get(key)!r}" for key in keys)


def made_otherwise(path: str | os.PathLike, expected: Mapping[str, Any]) -> str | None:
    """How a file that is there was made, if it is of something else; empty if of the same, None if it is not there."""
    if not pathlib.Path(path).exists():
        return None
    try:
        return differences(read_provenance(path), expected)
    except (BadValue, OSError):
        return "it does not say what it was made of"


def write_predictions(stem: pathlib.Path, rows: Sequence[Row], provenance: Mapping[str, Any]) -> list[pathlib.Path]:
    """Writes the table as `stem.json` and `stem.csv`; rows of other pictures that are there of the same network stay.

    Args:
        stem: of both files' names.
        rows: of the run's pictures.
        provenance: of the network and of how its pictures were fitted.

    Returns:
        Both files' names.

    Raises:
        ValueError: the table that is there is damaged.
    """
    path = pathlib.Path(f"{stem}.json")
    merged = _earlier(path) if made_otherwise(path, provenance) == "" else {}
    for row in rows:
        before = merged.get(row["source"])
        if before is not None and before["source_sha256"] == row["source_sha256"]:  # of other classes, perhaps
            row = {**row, "explained": _joined(before, row, "explained"), "files": _joined(before, row, "files")}
        merged[row["source"]] = row
    table = [merged[source] for source in sorted(merged)]
    write_json(path, {KEY: dict(provenance), "pictures": table})
    return [path, _write_csv(pathlib.Path(f"{stem}.csv"), table)]


def _earlier(path: pathlib.Path) -> dict[str, Row]:
    """The rows of a table that is there, by their sources.

    Raises:
        ValueError: there are none, or one lacks something.
    """
    table = parsed_json(read_text(path), str(path))
    rows = table.get("pictures") if isinstance(table, dict) else None
    whole = isinstance(rows, list) and all(map(_is_row, rows))
    if not whole:
        raise BadValue(f"{path} is no whole table of pictures: remove it, or give another --out or --name")
    return {row["source"]: row for row in rows or ()}


def _is_row(row: Any) -> bool:
    """Whether it is a row as it was written."""
    if not isinstance(row, dict) or not all(isinstance(row.get(key), str) for key in ("source", "source_sha256")):
        return False
    lists = [row.get(key) for key in ("predicted", "explained", "files")]
    if not all(isinstance(one, list) for one in lists):
        return False
    classes, files = [*row["predicted"], *row["explained"]], row["files"]
    named = all(isinstance(one, dict) and {"index", "class"} <= one.keys() for one in classes)
    return named and all(isinstance(file, str) for file in files)


def _joined(before: Row, row: Row, key: str) -> list[Any]:
    """What is in either, once: numbers of the same class may differ in their last digits with the batch."""

    def which(entry: Any) -> Any:
        return {k: v for k, v in entry.items() if k not in _INCIDENTAL} if isinstance(entry, dict) else entry

    there = [which(entry) for entry in before[key]]
    return [*before[key], *(entry for entry in row[key] if which(entry) not in there)]


def _write_csv(path: pathlib.Path, rows: Sequence[Row]) -> pathlib.Path:
    """A line a picture: its source, its likeliest classes with what is said of them, what was explained, its files, and
    whether none of the classes may fit (`true`, `false`, or nothing where that is not known)."""
    most = max((len(row["predicted"]) for row in rows), default=0)
    kind = next((key for row in rows for entry in row["predicted"] for key in entry if key == "output"), "probability")
    numbered = [f"{key}_{place}" for place in range(1, most + 1) for key in ("index", "class", kind)]
    with whole_file(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["source", *numbered, "explained", "files", "none_fits"])
        for row in rows:
            cells = [entry.get(key, "") for entry in row["predicted"] for key in ("index", "class", kind)]
            cells += [""] * (len(numbered) - len(cells))
            explained = "; ".join(str(entry["class"]) for entry in row["explained"])
            told = json.dumps(row["none_fits"]) if "none_fits" in row else ""
            writer.writerow([row["source"], *cells, explained, "; ".join(row["files"]), told])
    return path
