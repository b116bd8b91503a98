"""Tables of several networks in one of Markdown."""

import json

import join_tables
import pytest


def cell(table, row, column, value, half, count):
    numbers = {"value": value, "low": value - half, "high": value + half, "count": count}
    return {"table": table, "row": row, "column": column, **numbers}


@pytest.fixture
def runs(tmp_path):
    first = [
        cell("error", "Grad-CAM", "top-1", 65.12, 0.93, 10000),
        cell("error", "CAM", "top-1", 65.12, 0.93, 10000),
        cell("rank", "Grad-CAM", "all", 0.3181, 0.006, 9893),
    ]
    second = [cell("error", "Grad-CAM", "top-1", 0.5, 0.25, 100), cell("rank", "Grad-CAM", "all", -0.2, 0.1, 7)]
    for name, cells in (("first", first), ("second", second)):
        (tmp_path / f"{name}.json").write_text(json.dumps({"protocol": {"network": name}, "cells": cells}))
    return [str(tmp_path / "first.json"), str(tmp_path / "second.json")]


def test_the_columns_of_all_runs_stand_beside_each_other(runs, capsys):
    assert join_tables.main([*runs, "--names", "A", "B"]) == capsys.readouterr().out.rstrip("\n")
    text = join_tables.main(runs)
    assert text.split("\n") == [
        "error:",
        "",
        "|  | first: top-1, n = 10,000 | second: top-1, n = 100 |",
        "| --- | --- | --- |",
        "| Grad-CAM | 65.1 ± 0.9 | 0.5 ± 0.2 |",
        "| CAM | 65.1 ± 0.9 |  |",
        "",
        "rank:",
        "",
        "|  | first: all, n = 9,893 | second: all, n = 7 |",
        "| --- | --- | --- |",
        "| Grad-CAM | 0.318 ± 0.006 | -0.200 ± 0.100 |",
    ]


def test_a_name_for_each_run(runs):
    with pytest.raises(ValueError, match="1 --names are given of 2 runs"):
        join_tables.main([*runs, "--names", "A"])
