"""Files appear whole or not at all."""

import numpy as np
import pytest
from PIL import Image

from gradcam import figures
from gradcam.writing import write_png
from slim_models.writing import whole_file


def test_a_file_appears_with_its_folders(tmp_path):
    with whole_file(tmp_path / "a" / "b" / "c.txt") as path:
        path.write_text("whole")
        assert not (tmp_path / "a" / "b" / "c.txt").exists()
    assert (tmp_path / "a" / "b" / "c.txt").read_text() == "whole"


def test_an_interruption_leaves_what_was_there_and_nothing_else(tmp_path):
    (tmp_path / "c.txt").write_text("before")
    with pytest.raises(KeyboardInterrupt), whole_file(tmp_path / "c.txt") as path:
        path.write_text("ha")
        raise KeyboardInterrupt
    assert [path.name for path in tmp_path.iterdir()] == ["c.txt"]
    assert (tmp_path / "c.txt").read_text() == "before"


def test_png_keeps_every_pixel(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (5, 7, 3), np.uint8)
    write_png(tmp_path / "a.png", pixels)
    with Image.open(tmp_path / "a.png") as image:
        np.testing.assert_array_equal(np.asarray(image), pixels)


def test_a_figure_without_a_known_suffix_is_refused_and_nothing_written(tmp_path):
    figure = figures.grid([[("one", np.zeros((4, 4, 3), np.uint8))]], [""])
    with pytest.raises(ValueError, match="figure1'; its suffix can be .*png"):
        figures.save_figure(figure, tmp_path / "figure1")
    assert not list(tmp_path.iterdir())
    figures.save_figure(figure, tmp_path / "figure1.pdf")
    assert (tmp_path / "figure1.pdf").read_bytes().startswith(b"%PDF")
