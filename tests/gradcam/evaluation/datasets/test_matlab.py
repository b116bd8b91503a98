"""Our reader of MATLAB's files against SciPy's writer, and against files that are damaged."""

import contextlib

import numpy as np
import pytest
import scipy.io

from gradcam.evaluation.datasets.matlab import read_records

WANTED = ("ILSVRC2012_ID", "WNID")


def synsets(count=5):
    """As the devkit of 2012 has them."""
    fields = [("ILSVRC2012_ID", object), ("WNID", object), ("words", object), ("children", object), ("height", object)]
    records = np.empty((count, 1), fields)
    for number in range(count):
        children = np.arange(number, dtype=np.uint8)
        records[number, 0] = (float(number + 1), f"n{number:08}", "x" * (number * 7), children, np.float64(number))
    return records


@pytest.fixture(params=[True, False], ids=["packed", "plain"])
def path(request, tmp_path):
    found = {"before": np.zeros((2, 2)), "synsets": synsets()}
    scipy.io.savemat(tmp_path / "a.mat", found, do_compression=request.param)
    return tmp_path / "a.mat"


def test_what_scipy_writes(path):
    expected = [{"ILSVRC2012_ID": n + 1, "WNID": f"n{n:08}"} for n in range(5)]
    assert read_records(path, "synsets", WANTED) == expected


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.int32, np.float32, np.int64])
def test_numbers_of_every_type(tmp_path, dtype):
    records = synsets(2)
    for number in range(2):
        records[number, 0]["ILSVRC2012_ID"] = dtype(number + 100)
    scipy.io.savemat(tmp_path / "a.mat", {"synsets": records})
    assert [row["ILSVRC2012_ID"] for row in read_records(tmp_path / "a.mat", "synsets", WANTED)] == [100, 101]


def test_what_is_not_there_is_named(path):
    with pytest.raises(ValueError, match="no array of records 'classes'"):
        read_records(path, "classes", WANTED)
    with pytest.raises(ValueError, match="have the fields ILSVRC2012_ID, WNID, words, children, height, not colour"):
        read_records(path, "synsets", ("colour",))
    path.write_bytes(b"not at all")
    with pytest.raises(ValueError, match="no MAT file of version 5"):
        read_records(path, "synsets", WANTED)


def test_changed_bytes_are_read_or_refused_with_one_kind_of_error(path):
    rng = np.random.default_rng(0)
    whole = path.read_bytes()
    for _ in range(1000):
        damaged = bytearray(whole)
        for place in rng.integers(len(whole), size=rng.integers(1, 4)):
            damaged[place] = rng.integers(256)
        path.write_bytes(damaged[: rng.integers(len(whole) // 2, len(whole) + 1)])
        with contextlib.suppress(ValueError):
            read_records(path, "synsets", WANTED)


def test_a_bomb(tmp_path):
    scipy.io.savemat(tmp_path / "a.mat", {"a": np.zeros(2**24)}, do_compression=True)
    with pytest.raises(ValueError, match="unpacks to more than can be of use"):
        read_records(tmp_path / "a.mat", "synsets", WANTED)
