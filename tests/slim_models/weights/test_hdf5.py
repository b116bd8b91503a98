"""HDF5 files that end HDF5's own library, or never let it end, end a process of their own: one error is left."""

import contextlib
import pathlib
import time

import h5py
import numpy as np
import pytest
from formats import write_keras

import slim_models
from slim_models.weights import hdf5, open_hdf5

LAYERS = {
    "block1_conv1": (np.ones((3, 3, 3, 2), np.float32), np.zeros(2, np.float32)),
    "predictions": (np.ones((2, 4), np.float32), np.zeros(4, np.float32)),
}


@pytest.fixture
def path(tmp_path):
    return write_keras(tmp_path / "a.h5", LAYERS)


def test_a_good_file_is_read_by_both(path):
    read = slim_models.read_weights(path)
    np.testing.assert_array_equal(read["conv1_1/weights"], LAYERS["block1_conv1"][0])
    with path.open("rb") as given, open_hdf5(given) as file:
        assert "predictions" in file


@pytest.mark.parametrize(
    ("trial", "message"),
    [
        ("import os, signal; os.kill(os.getpid(), signal.SIGTERM)", "HDF5's library fails .*ended with -15"),
        ("raise SystemError('of the library')", "HDF5's library fails .*SystemError: of the library"),
        ("import time; time.sleep(60)", "HDF5 does not come to an end with it"),
    ],
)
def test_what_ends_the_other_process_is_an_error_of_this_one(path, monkeypatch, trial, message):
    monkeypatch.setattr(hdf5, "_TRIAL", trial)
    monkeypatch.setattr(hdf5, "_SECONDS", 2)
    began = time.monotonic()
    with pytest.raises(ValueError, match=rf"a\.h5 cannot be read as an HDF5 file.*{message}"), open_hdf5(path):
        pass
    assert time.monotonic() - began < 20


def test_changed_bytes_never_end_the_process(path):
    rng = np.random.default_rng(0)
    whole = path.read_bytes()
    refused = 0
    for _ in range(15):
        damaged = bytearray(whole)
        for place in rng.integers(min(len(whole), 3000), size=20):
            damaged[place] = rng.integers(256)
        path.write_bytes(damaged)
        try:
            slim_models.read_weights(path)
        except ValueError as error:
            refused += "\n" not in str(error)
    assert refused > 5


@pytest.mark.parametrize("options", [{"shape": (2**30,), "dtype": "f4"}, {"data": np.zeros(2**25, "f4")}])
def test_what_claims_too_much(tmp_path, options):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("a", compression="gzip", **options)
    with (
        pytest.raises(ValueError, match=r"a\.h5: what it holds claims .* from a file of"),
        open_hdf5(tmp_path / "a.h5"),
    ):
        pass


def test_an_array_under_many_names_is_read_once(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["a"] = np.zeros(2**20, np.float32)
        for number in range(300):
            file[f"again{number}"] = file["a"]
    began = time.monotonic()
    with open_hdf5(tmp_path / "a.h5") as file:
        assert len(file) == 301
    assert time.monotonic() - began < 20


def test_a_file_that_changes_is_tried_again(path, monkeypatch):
    with open_hdf5(path):
        pass
    monkeypatch.setattr(hdf5, "_TRIAL", "raise SystemExit(1)")
    with open_hdf5(path):  # the same file
        pass
    path.write_bytes(path.read_bytes() + b"x")
    with pytest.raises(ValueError, match="HDF5's library fails"), contextlib.ExitStack() as stack:
        stack.enter_context(open_hdf5(path))


@pytest.mark.skipif(not pathlib.Path("/proc/self/statm").exists(), reason="memory is bounded where that is said")
def test_memory_without_end_is_not_to_be_had(path, monkeypatch):
    """What a file makes the library ask for, whatever way it finds."""
    monkeypatch.setattr(
        hdf5,
        "_TRIAL",
        "import json, sys; sys.path[:] = json.loads(sys.argv[1])\n"
        "from slim_models.weights import hdf5; import h5py, numpy as np\n"
        "hdf5._MEMORY = 2**28\n"
        "hdf5.refuse_what_lies_outside = lambda file: [np.ones(2**28) for _ in range(9)]\n"
        "hdf5.read_all(sys.argv[2])",
    )
    with pytest.raises(ValueError, match=r"a\.h5 cannot be read as an HDF5 file: Unable to allocate"), open_hdf5(path):
        pass
