"""What files say of how they were made: written by us, read by us and by whoever knows PNG, npz and JSON."""

import hashlib
import json

import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

from gradcam import read_provenance
from gradcam.figures import save_figure
from gradcam.pictures import SAMPLES, source_of, write_json, write_npz, write_png

MADE = {"network": "vgg16", "class": "Käse", "target": 3, "versions": {"numpy": "2"}, "bands": [3, 2, 1]}
PIXELS = np.random.default_rng(0).integers(0, 256, (20, 30, 3), np.uint8)


def test_png(tmp_path):
    write_png(tmp_path / "a.png", PIXELS, MADE)
    assert read_provenance(tmp_path / "a.png") == MADE
    with Image.open(tmp_path / "a.png") as image:
        image.load()  # which checks every chunk's sum
        assert json.loads(image.text["provenance"]) == MADE
        np.testing.assert_array_equal(np.asarray(image), PIXELS)


def test_figure(tmp_path):
    save_figure(Figure(figsize=(1, 1)), tmp_path / "a.png", provenance=MADE)
    assert read_provenance(tmp_path / "a.png") == MADE
    save_figure(Figure(figsize=(1, 1)), tmp_path / "a.pdf", provenance=MADE)


def test_npz(tmp_path):
    write_npz(tmp_path / "a.npz", {"cam": PIXELS}, MADE)
    assert read_provenance(tmp_path / "a.npz") == MADE
    with np.load(tmp_path / "a.npz") as arrays:  # without pickles
        assert json.loads(str(arrays["provenance"])) == MADE
        np.testing.assert_array_equal(arrays["cam"], PIXELS)


def test_json(tmp_path):
    write_json(tmp_path / "a.json", {"provenance": MADE, "pictures": []})
    assert read_provenance(tmp_path / "a.json") == MADE


@pytest.mark.parametrize("name", ["a.png", "a.npz", "a.json", "b.png", "b.npz", "b.json", "c.json"])
def test_files_that_do_not_say(name, tmp_path):
    write_png(tmp_path / "a.png", PIXELS)
    write_npz(tmp_path / "a.npz", {"cam": PIXELS})
    write_json(tmp_path / "a.json", {"cam": 1})
    for suffix in ("png", "npz", "json"):
        (tmp_path / f"b.{suffix}").write_bytes(b"something else")
    write_json(tmp_path / "c.json", {"provenance": "mine"})
    with pytest.raises(ValueError, match=f"{name} does not say what it was made of"):
        read_provenance(tmp_path / name)
    with pytest.raises(FileNotFoundError, match="no file at"):
        read_provenance(tmp_path / f"no-{name}")


def test_which_picture_a_source_is(tmp_path):
    stack = np.zeros((2, 4, 4, 3))
    np.save(tmp_path / "stack.npy", stack)
    digest = hashlib.sha256((tmp_path / "stack.npy").read_bytes()).hexdigest()
    source = f"{tmp_path / 'stack.npy'}[1]"
    assert source_of(source) == {"source": source, "source_sha256": digest, "source_number": 1}
    assert source_of(str(tmp_path / "stack.npy")) == {"source": str(tmp_path / "stack.npy"), "source_sha256": digest}
    coffee = hashlib.sha256(SAMPLES["coffee"]().tobytes()).hexdigest()
    assert source_of("sample:coffee") == {"source": "sample:coffee", "source_sha256": coffee}
    with pytest.raises(FileNotFoundError, match="no picture at"):
        source_of(str(tmp_path / "none.jpg"))
