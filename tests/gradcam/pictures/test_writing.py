"""Files appear whole or not at all."""

import io
import struct
import zlib

import cv2
import numpy as np
import pytest
from PIL import Image

from gradcam import figures
from gradcam.pictures import png, samples
from gradcam.pictures.writing import write_npz, write_png
from slim_models.files import whole_file


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


NOISE = np.random.default_rng(0).integers(0, 256, (40, 70, 3), np.uint8)


@pytest.mark.parametrize(
    "pixels",
    [NOISE[:5, :7], NOISE[:1, :1], NOISE[:1], NOISE[:, :1], NOISE[::-1, ::2, ::-1], NOISE // 255, samples.coffee()],
)
def test_png_keeps_every_pixel(tmp_path, pixels):
    write_png(tmp_path / "a.png", pixels)
    with Image.open(tmp_path / "a.png") as image:
        assert (image.format, image.mode) == ("PNG", "RGB")
        np.testing.assert_array_equal(np.asarray(image), pixels)
    np.testing.assert_array_equal(cv2.imread(str(tmp_path / "a.png"))[..., ::-1], pixels)  # another reader, libpng


@pytest.mark.parametrize("places", [1, 150, 2**11])
def test_png_in_parts_is_the_same_as_at_once(places, monkeypatch):
    """Each line is filtered by the one above it, also where that is of another part; all parts are one stream."""
    whole = _data_of(b"".join(png.png(NOISE, {"key": "text"})))
    monkeypatch.setattr(png, "_AT_ONCE", places)
    parts = b"".join(png.png(NOISE, {"key": "text"}))
    assert _data_of(parts) == whole
    assert len(whole) == 40 * (1 + 3 * 70)
    with Image.open(io.BytesIO(parts)) as image:
        assert image.text == {"key": "text"}  # before the pixels, and its sum is right
        np.testing.assert_array_equal(np.asarray(image), NOISE)


def _data_of(file):
    """The filtered lines of a PNG, out of its chunks as the specification has them."""
    at, packed = 8, b""
    while at < len(file):
        length, kind = struct.unpack(">I4s", file[at : at + 8])
        packed += file[at + 8 : at + 8 + length] if kind == b"IDAT" else b""
        at += 12 + length
    return zlib.decompress(packed)


def test_png_is_about_as_small_as_pillow_s(tmp_path):
    write_png(tmp_path / "a.png", samples.coffee())
    Image.fromarray(samples.coffee()).save(tmp_path / "b.png")
    assert (tmp_path / "a.png").stat().st_size < 1.2 * (tmp_path / "b.png").stat().st_size


@pytest.mark.parametrize("array", [NOISE[..., 0], NOISE[..., :2], NOISE / 255, NOISE[:0]])
def test_what_is_no_picture_is_not_written(tmp_path, array):
    with pytest.raises(ValueError, match=r"uint8 \[H, W, 3\], not "):
        write_png(tmp_path / "a.png", array)
    assert not list(tmp_path.iterdir())


def test_npz_has_the_arrays_as_numpy_would_write_them(tmp_path):
    arrays = {"a/b": NOISE, "half": NOISE.astype(np.float16)[::2], "number": np.int64(7), "none": np.zeros((0, 3))}
    write_npz(tmp_path / "a.npz", arrays)
    np.savez_compressed(tmp_path / "b.npz", **arrays)
    with np.load(tmp_path / "a.npz") as ours, np.load(tmp_path / "b.npz") as theirs:
        assert ours.files == theirs.files
        for name in ours.files:
            assert ours[name].dtype == theirs[name].dtype
            np.testing.assert_array_equal(ours[name], theirs[name])
    with pytest.raises(ValueError, match="Object"):  # nothing that would have to be pickled
        write_npz(tmp_path / "c.npz", {"object": np.array([{}])})
    assert not (tmp_path / "c.npz").exists()


def test_a_figure_without_a_known_suffix_is_refused_and_nothing_written(tmp_path):
    figure = figures.grid([[("one", np.zeros((4, 4, 3), np.uint8))]], [""])
    with pytest.raises(ValueError, match="figure1'; its suffix can be .*png"):
        figures.save_figure(figure, tmp_path / "figure1")
    assert not list(tmp_path.iterdir())
    figures.save_figure(figure, tmp_path / "figure1.pdf")
    assert (tmp_path / "figure1.pdf").read_bytes().startswith(b"%PDF")
