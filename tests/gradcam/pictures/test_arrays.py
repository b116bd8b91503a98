"""Arrays of any number of channels: read from npy files and TIFFs, fitted to a network, and shown."""

import pickle
import struct
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from gradcam import maps
from gradcam.pictures import ARRAY_SUFFIXES, expand, images
from gradcam.pictures.bands import as_rgb, checked_bands, choose
from gradcam.pictures.photograph import Photograph, fit_image, place, read_photograph, resize
from slim_models.mistakes import BadValue, MissingFile

RANDOM = np.random.default_rng(0)
_FORMATS = {"u": 1, "i": 2, "f": 3}  # TIFF's SampleFormat


def write_tiff(path, pages, kinds=None):
    """A TIFF by hand: a strip a page, `[H, W]` of any type; `kinds` are NewSubfileTypes."""
    content = bytearray(b"II*\0\0\0\0\0")
    link = 4
    for page, kind in zip(pages, kinds or [0] * len(pages)):
        place_of_strip = len(content)
        content += page.tobytes() + b"\0" * (page.nbytes % 2)
        entries = [
            *((254, kind), (256, page.shape[1]), (257, page.shape[0]), (258, 8 * page.itemsize), (259, 1), (262, 1)),
            *(
                (273, place_of_strip),
                (277, 1),
                (278, page.shape[0]),
                (279, page.nbytes),
                (339, _FORMATS[page.dtype.kind]),
            ),
        ]
        content[link : link + 4] = struct.pack("<I", len(content))
        content += struct.pack("<H", len(entries))
        for tag, value in entries:
            content += struct.pack("<HHII", tag, 4 if tag in (254, 256, 257, 273, 278, 279) else 3, 1, value)
        link = len(content)
        content += bytes(4)
    path.write_bytes(content)
    return str(path)


def write_npy(path, array):
    np.save(path, array)
    return str(path)


def bilinear(row, size):
    """One axis grown: half a pixel is at the border, beyond which the border goes on."""
    places = (np.arange(size) + 0.5) * len(row) / size - 0.5
    return np.interp(places, np.arange(len(row)), row)


class TestResize:
    @pytest.mark.parametrize("channels", [1, 2, 4, 5, 13, 130])
    @pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.uint16, np.float32, np.float64, np.int64, bool])
    def test_averages_where_it_shrinks(self, channels, dtype):
        array = (
            RANDOM.uniform(0, 100, (12, 20, channels)) if dtype is not bool else RANDOM.random((12, 20, channels)) > 0.5
        )
        array = array.astype(dtype)
        means = array.astype(np.float64).reshape(4, 3, 5, 4, channels).mean((1, 3))
        found = resize(array, (4, 5))
        assert found.dtype == (np.uint8 if dtype == np.uint8 else np.float32)
        np.testing.assert_allclose(found, means, atol=0.501 if dtype == np.uint8 else 1e-4)

    @pytest.mark.parametrize("channels", [1, 4, 7, 130])
    @pytest.mark.parametrize("dtype", [">i2", "<f8", "float32"])
    def test_interpolates_where_it_grows(self, channels, dtype):
        array = RANDOM.uniform(-1000, 1000, (3, 5, channels)).astype(dtype)
        rows = np.apply_along_axis(bilinear, 0, array.astype(np.float64), 8)
        np.testing.assert_allclose(resize(array, (8, 11)), np.apply_along_axis(bilinear, 1, rows, 11), atol=0.01)

    def test_channels_are_on_their_own(self):
        """Shrinking one axis, growing the other."""
        array = RANDOM.uniform(0, 1, (30, 10, 9)).astype(np.float32)
        alone = np.stack([resize(array[..., channel], (7, 40)) for channel in range(9)], axis=-1)
        np.testing.assert_array_equal(resize(array, (7, 40)), alone)

    def test_the_axis_of_one_channel_stays(self):
        assert resize(np.zeros((6, 8, 1)), (3, 4)).shape == (3, 4, 1)
        assert resize(np.zeros((6, 8, 1)), (6, 8)).shape == (6, 8, 1)
        assert resize(np.zeros((6, 8)), (3, 4)).shape == (3, 4)

    def test_crop_and_back(self):
        """The central square of K channels, and its map where it was."""
        array = RANDOM.normal(size=(10, 16, 6)).astype(np.float32)
        np.testing.assert_array_equal(fit_image(array, (10, 10), "crop"), array[:, 3:13])
        whole = place(array[:, 3:13], (10, 16), "crop")
        np.testing.assert_array_equal(whole[:, 3:13], array[:, 3:13])
        assert not whole[:, :3].any()
        assert not whole[:, 13:].any()


class TestNpy:
    @pytest.mark.parametrize("dtype", ["uint8", ">u2", "int16", "float16", "float64", "int64"])
    @pytest.mark.parametrize("order", ["C", "F"])
    def test_a_picture(self, dtype, order, tmp_path):
        array = np.asarray(RANDOM.uniform(-100, 100, (6, 8, 5)).astype(dtype), order=order)
        picture = read_photograph(write_npy(tmp_path / "scene.npy", array), channels=5)
        assert picture.name == "scene"
        assert picture.array.dtype == np.float32
        np.testing.assert_array_equal(picture.array, array.astype(np.float32))
        np.testing.assert_array_equal(picture.fitted((6, 8)), array.astype(np.float32))
        assert picture.pixels.shape == (6, 8, 3)

    def test_one_channel_without_an_axis(self, tmp_path):
        array = RANDOM.normal(size=(6, 8))
        picture = read_photograph(write_npy(tmp_path / "a.npy", array), channels=1)
        np.testing.assert_array_equal(picture.array[..., 0], array.astype(np.float32))

    def test_several_pictures(self, tmp_path):
        stack = RANDOM.normal(size=(3, 6, 8, 5)).astype(np.float32)
        sources = expand([write_npy(tmp_path / "stack.npy", stack)])
        assert sources == [f"{tmp_path / 'stack.npy'}[{number}]" for number in range(3)]
        pictures = [read_photograph(source, channels=5) for source in sources]
        assert [picture.name for picture in pictures] == ["stack-0", "stack-1", "stack-2"]
        np.testing.assert_array_equal(np.stack([picture.array for picture in pictures]), stack)

    def test_one_of_several(self, tmp_path):
        stack = RANDOM.normal(size=(3, 6, 8, 5)).astype(np.float32)
        source = f"{write_npy(tmp_path / 'stack.npy', stack)}[2]"
        assert expand([source]) == [source]
        np.testing.assert_array_equal(read_photograph(source, channels=5).array, stack[2])
        with pytest.raises(BadValue, match="has 3 pictures, from 0 on, and no picture 3"):
            read_photograph(source.replace("[2]", "[3]"), channels=5)

    def test_a_file_that_is_called_so(self, tmp_path):
        array = RANDOM.normal(size=(6, 8, 5)).astype(np.float32)
        with (tmp_path / "a.npy[2]").open("wb") as file:
            np.save(file, array)
        with pytest.raises(BadValue, match="is a photograph"):  # it is no npy file by its name
            read_photograph(str(tmp_path / "a.npy[2]"), channels=5)

    @pytest.mark.parametrize(
        ("array", "message"),
        [
            (np.zeros((6, 8, 4)), r"is \[6, 8, 4\], and the network takes pictures \[H, W, 5\]$"),
            (np.zeros((5, 6, 8)), r"\[H, W, 5\]; its channels come first, np.moveaxis\(array, 0, -1\) has them last"),
            (np.zeros((6, 8)), r"is \[6, 8, 1\]"),
            (np.zeros(6), r"is \[6\]"),
            (np.full((6, 8, 5), np.inf), "not finite"),
            (np.full((6, 8, 5), -1e300), "beyond float32"),
            (np.full((6, 8, 5), 1j), r"numbers should be there, not complex128"),
            (np.full((6, 8, 5), "a"), "numbers should be there, not <U1"),
            (np.zeros((6, 0, 5)), "no array that can be read|numbers should be there"),
        ],
    )
    def test_what_the_network_does_not_take(self, array, message, tmp_path):
        with pytest.raises(BadValue, match=message):
            read_photograph(write_npy(tmp_path / "a.npy", array), channels=5)

    def test_files_that_are_none(self, tmp_path):
        """Each is one source, and its reader is told; nothing in a pickle is run."""
        executed = tmp_path / "executed"

        class Bomb:
            def __reduce__(self):
                return executed.touch, ()

        np.save(tmp_path / "pickled.npy", np.array([Bomb()], object), allow_pickle=True)
        (tmp_path / "bare.npy").write_bytes(pickle.dumps(Bomb()))
        (tmp_path / "empty.npy").touch()
        (tmp_path / "page.npy").write_text("<!DOCTYPE html>")
        np.savez(tmp_path / "zip.npz", a=np.zeros(3))
        (tmp_path / "zip.npz").rename(tmp_path / "zip.npy")
        whole = (tmp_path / "whole.npy", np.zeros((6, 8, 5)))
        (tmp_path / "cut.npy").write_bytes(Path(write_npy(*whole)).read_bytes()[:-8])
        executed.unlink(missing_ok=True)
        messages = {
            "pickled": "it is an npy file .*Python objects",
            "bare": "it is a bare pickle",
            "empty": "it is an empty file",
            "page": "it is an HTML page",
            "zip": "it is a zip archive",
            "cut": "it is an npy file .*greater than file size",
        }
        for name, message in messages.items():
            source = str(tmp_path / f"{name}.npy")
            assert expand([source]) == [source]
            for channels in (None, 5):
                with pytest.raises(BadValue, match=f"{name}.npy is no array that can be read: {message}"):
                    read_photograph(source, channels=channels)
        assert not executed.exists()
        with pytest.raises(MissingFile, match="no picture at"):
            read_photograph(str(tmp_path / "none.npy"), channels=5)

    def test_a_photograph(self, tmp_path):
        """In whole grey levels as from any other file, else to the last digit."""
        pixels = RANDOM.integers(0, 256, (6, 8, 3)).astype(np.uint8)
        Image.fromarray(pixels).save(tmp_path / "a.png")
        from_png = read_photograph(str(tmp_path / "a.png")).fitted((4, 4))
        np.testing.assert_array_equal(read_photograph(write_npy(tmp_path / "a.npy", pixels)).fitted((4, 4)), from_png)
        exact = pixels / 1.7
        picture = read_photograph(write_npy(tmp_path / "b.npy", exact))
        np.testing.assert_array_equal(picture.fitted((6, 8)), exact.astype(np.float32))
        np.testing.assert_array_equal(picture.pixels, np.rint(exact.astype(np.float32)))
        grey = read_photograph(write_npy(tmp_path / "c.npy", pixels[..., 0]))
        np.testing.assert_array_equal(grey.pixels, np.repeat(pixels[..., :1], 3, axis=2))

    @pytest.mark.parametrize(
        ("array", "message"),
        [
            (np.full((6, 8, 3), -3.0), r"a.npy: images must be RGB in \[0, 255\].*has to be given as prepared"),
            (np.full((6, 8, 3), 0.5), r"these are in \[0.5, 0.5\]"),
            (np.full((6, 8, 3), 1000), r"these are in \[1000, 1000\]"),
            (np.zeros((6, 8, 4), np.uint8), r"is \[6, 8, 4\], and the network takes photographs \[H, W, 3\]"),
        ],
    )
    def test_no_photograph(self, array, message, tmp_path):
        with pytest.raises(BadValue, match=message):
            read_photograph(write_npy(tmp_path / "a.npy", array))


class TestTiff:
    @pytest.mark.parametrize("dtype", ["uint8", "int8", "uint16", "int16", "uint32", "int32", "float32"])
    def test_pages_are_bands(self, dtype, tmp_path):
        low, high = (-1e4, 1e4) if dtype == "float32" else (np.iinfo(dtype).min, np.iinfo(dtype).max)
        pages = RANDOM.uniform(low, high, (5, 6, 8)).astype(dtype)
        picture = read_photograph(write_tiff(tmp_path / "scene.tif", pages), channels=5)
        assert picture.name == "scene"
        np.testing.assert_array_equal(picture.array, np.moveaxis(pages, 0, -1).astype(np.float32))

    def test_as_pillow_writes_them(self, tmp_path):
        pages = [Image.fromarray(RANDOM.integers(0, 60000, (6, 8)).astype(np.uint16)) for _ in range(4)]
        pages[0].save(tmp_path / "a.tiff", save_all=True, append_images=pages[1:])
        found = read_photograph(str(tmp_path / "a.tiff"), channels=4).array
        np.testing.assert_array_equal(found, np.stack([np.asarray(page) for page in pages], axis=-1))

    def test_bands_of_one_page(self, tmp_path):
        pixels = RANDOM.integers(0, 256, (6, 8, 4)).astype(np.uint8)
        Image.fromarray(pixels).save(tmp_path / "a.tif")
        np.testing.assert_array_equal(read_photograph(str(tmp_path / "a.tif"), channels=4).array, pixels)

    def test_smaller_versions_and_masks_are_no_bands(self, tmp_path):
        pages = [np.full((6, 8), number, np.uint8) for number in range(3)]
        small = np.zeros((3, 4), np.uint8)
        source = write_tiff(tmp_path / "a.tif", [*pages, small, pages[0]], [0, 2, 0, 1, 4])
        np.testing.assert_array_equal(read_photograph(source, channels=3).array, np.stack(pages, axis=-1))

    def test_what_is_refused(self, tmp_path, monkeypatch):
        sizes = write_tiff(tmp_path / "sizes.tif", [np.zeros((6, 8), np.uint8), np.zeros((3, 4), np.uint8)])
        with pytest.raises(BadValue, match=r"pages of several sizes \(8 x 6, 4 x 3\)"):
            read_photograph(sizes, channels=2)
        with pytest.raises(BadValue, match=r"is \[6, 8, 2\], and the network takes pictures \[H, W, 4\]"):
            read_photograph(write_tiff(tmp_path / "two.tif", [np.zeros((6, 8), np.uint8)] * 2), channels=4)
        Image.fromarray(np.zeros((6, 8), np.uint8)).convert("P").save(tmp_path / "palette.tif")
        with pytest.raises(BadValue, match="page 1 has a palette"):
            read_photograph(str(tmp_path / "palette.tif"), channels=1)
        nan = write_tiff(tmp_path / "nan.tif", [np.full((6, 8), np.nan, np.float32)])
        with pytest.raises(BadValue, match="not finite"):
            read_photograph(nan, channels=1)
        many = write_tiff(tmp_path / "many.tif", [np.zeros((6, 8), np.uint8)] * 5)
        with monkeypatch.context() as patch:  # pages may have their numbers in common: what counts is what they claim
            patch.setattr(images, "_MOST_PACKED", 0.1)
            patch.setattr(images, "_HARMLESS", 5 * 48)
            assert read_photograph(many, channels=5).array.shape == (6, 8, 5)
            patch.setattr(images, "_HARMLESS", 5 * 48 - 1)
            with pytest.raises(BadValue, match=r"many\.tif is too large: it claims 240 pixels, from \d+ bytes"):
                read_photograph(many, channels=5)
        (tmp_path / "text.tif").write_text("text")
        with pytest.raises(BadValue, match=r"is not a picture that can be read \(of TIFF\)"):
            read_photograph(str(tmp_path / "text.tif"), channels=1)
        with pytest.raises(MissingFile, match="no picture at"):
            read_photograph(str(tmp_path / "none.tif"), channels=1)
        for source in ("sample:coffee", str(tmp_path / "photo.jpg")):
            with pytest.raises(
                BadValue, match=r"is a photograph, and the network takes arrays \[H, W, 4\]: give an npy"
            ):
                read_photograph(source, channels=4)


def test_folders(tmp_path):
    """What is looked for in them is what the network takes."""
    write_npy(tmp_path / "a.npy", np.zeros((2, 6, 8, 5)))
    write_tiff(tmp_path / "b.TIF", [np.zeros((6, 8), np.uint8)])
    Image.fromarray(np.zeros((6, 8, 3), np.uint8)).save(tmp_path / "c.png")
    assert expand([str(tmp_path)]) == [str(tmp_path / "b.TIF"), str(tmp_path / "c.png")]
    found = expand([str(tmp_path)], ARRAY_SUFFIXES)
    assert found == [f"{tmp_path / 'a.npy'}[0]", f"{tmp_path / 'a.npy'}[1]", str(tmp_path / "b.TIF")]
    (tmp_path / "empty").mkdir()
    with pytest.raises(MissingFile, match=r"looked for .npy, .tif, .tiff$"):
        expand([str(tmp_path / "empty")], ARRAY_SUFFIXES)


class TestBands:
    def test_the_mean_is_stretched_between_percentiles(self):
        """A ramp of 101 places, the mean of two bands: the 2nd and the 98th are black and white."""
        ramp = np.arange(101.0)[None]
        picture = as_rgb(np.stack([ramp * 3, -ramp], axis=-1))
        levels = np.rint(255 * np.clip((np.arange(101) - 2) / 96, 0, 1))
        np.testing.assert_array_equal(picture, np.repeat(levels[None, :, None], 3, axis=2))

    def test_chosen_bands_are_each_stretched(self):
        ramp = np.arange(101.0)[None]
        array = np.stack([ramp, 50 * ramp - 7, 1e6 - ramp, np.zeros((1, 101))], axis=-1)
        picture = as_rgb(array, (3, 2, 1))
        levels = np.rint(255 * np.clip((np.arange(101) - 2) / 96, 0, 1))
        np.testing.assert_array_equal(picture[0, :, 1], levels)
        np.testing.assert_array_equal(picture[0, :, 2], levels)
        np.testing.assert_array_equal(picture[0, :, 0], levels[::-1])
        one = as_rgb(array, (2,))
        assert (one == one[..., :1]).all()
        np.testing.assert_array_equal(one[0, :, 0], levels)

    def test_what_is_nearly_or_wholly_flat(self):
        assert (as_rgb(np.full((4, 5, 2), 3.0)) == 128).all()
        spot = np.zeros((100, 100, 1))
        spot[3, 4] = 9
        assert as_rgb(spot).sum() == 3 * 255

    def test_saliency_is_chosen_and_not_scaled(self):
        saliency = RANDOM.normal(size=(4, 5, 6)).astype(np.float32)
        np.testing.assert_array_equal(choose(saliency, (6, 1, 2)), saliency[..., [5, 0, 1]])
        np.testing.assert_array_equal(choose(saliency, (4,)), np.repeat(saliency[..., 3:4], 3, axis=-1))
        mean = saliency.mean(-1, keepdims=True)
        np.testing.assert_allclose(choose(saliency), np.repeat(mean, 3, axis=-1), rtol=1e-5, atol=1e-7)
        np.testing.assert_array_equal(choose(saliency[..., :3]), saliency[..., :3])  # of three, all
        np.testing.assert_array_equal(choose(saliency[..., :1]), np.repeat(saliency[..., :1], 3, axis=-1))

    @pytest.mark.parametrize("bands", [(1, 2), (0,), (1, 2, 7), (1, 2, 3, 4)])
    def test_no_bands(self, bands):
        with pytest.raises(BadValue, match="bands are three .* or one .*, from 1 to 6, not "):
            checked_bands(bands, 6)
        with pytest.raises(BadValue, match="from 1 to 6"):
            Photograph.of_array("a", np.zeros((4, 5, 6)), bands=bands)


class TestPhotograph:
    def test_of_what_is_no_picture(self):
        with pytest.raises(BadValue, match=r"scene must be \[H, W, K\], not \[4, 5\]"):
            Photograph.of_array("scene", np.zeros((4, 5)))
        with pytest.raises(BadValue, match="scene: not finite"):
            Photograph.of_array("scene", np.full((4, 5, 6), np.nan))

    def test_an_overlay_is_over_what_is_shown(self):
        array = RANDOM.normal(size=(8, 12, 5)).astype(np.float32)
        picture = Photograph.of_array("a", array, "crop", (5, 4, 3))
        heatmap = picture.heatmap(RANDOM.random((2, 2)))
        overlay = picture.overlay(heatmap)
        shown = as_rgb(array, (5, 4, 3))
        np.testing.assert_array_equal(overlay[:, 2:10], maps.overlay(shown[:, 2:10], heatmap[:, 2:10]))
        np.testing.assert_array_equal(overlay[:, :2], np.repeat(maps.luma(shown[:, :2]), 3, axis=-1) // 3)
        with_colours = picture.overlay(heatmap, grey=False)
        np.testing.assert_array_equal(with_colours[:, :2], shown[:, :2] // 3)

    def test_shrunk_for_a_figure_the_network_sees_the_same(self):
        picture = Photograph.of_array("a", RANDOM.normal(size=(40, 60, 5)).astype(np.float32), bands=(5, 4, 3))
        small = picture.shrunk(30)
        assert small.pixels.shape == (20, 30, 3)
        assert small.bands == (5, 4, 3)
        np.testing.assert_array_equal(small.fitted((16, 16)), picture.fitted((16, 16)))
