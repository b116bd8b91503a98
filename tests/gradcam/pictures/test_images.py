"""Pictures of every kind are read as a viewer shows them, and maps come back to their place."""

import concurrent.futures
import struct
import sys
import threading
import types
import warnings
import zlib

import numpy as np
import pytest
from PIL import Image, ImageOps

from gradcam.pictures import images, photograph, samples
from gradcam.pictures.folders import expand
from gradcam.pictures.photograph import Photograph, read_photograph
from slim_models.mistakes import BadValue

# Four flat quarters, large enough for JPEG: red, green / blue, white.
QUARTERS = np.zeros((32, 48, 3), np.uint8)
QUARTERS[:16, :24, 0] = QUARTERS[:16, 24:, 1] = QUARTERS[16:, :24, 2] = 255
QUARTERS[16:, 24:] = 255
CENTRES = [(8, 12), (8, 36), (24, 12), (24, 36)]


def assert_quarters(pixels, tolerance=3):
    assert pixels.dtype == np.uint8
    assert pixels.shape == QUARTERS.shape
    for row, column in CENTRES:
        np.testing.assert_allclose(pixels[row, column], QUARTERS[row, column], atol=tolerance)


@pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "bmp", "tif"])
def test_formats(tmp_path, suffix):
    path = tmp_path / f"a.{suffix}"
    Image.fromarray(QUARTERS).save(path, **({"quality": 95} if suffix in ("jpg", "webp") else {}))
    assert_quarters(images.read_image(path), tolerance=12 if suffix == "webp" else 3)


def test_palette(tmp_path):
    Image.fromarray(QUARTERS).convert("P", palette=Image.Palette.ADAPTIVE).save(tmp_path / "a.png")
    assert_quarters(images.read_image(tmp_path / "a.png"))


def test_cmyk_jpeg(tmp_path):
    Image.fromarray(QUARTERS).convert("CMYK").save(tmp_path / "a.jpg", quality=95)
    assert_quarters(images.read_image(tmp_path / "a.jpg"), tolerance=4)


def test_grey(tmp_path):
    Image.fromarray(np.full((4, 5), 77, np.uint8)).save(tmp_path / "a.png")
    np.testing.assert_array_equal(images.read_image(tmp_path / "a.png"), np.full((4, 5, 3), 77))


def test_black_and_white(tmp_path):
    Image.fromarray(np.array([[0, 255]], np.uint8)).convert("1").save(tmp_path / "a.png")
    np.testing.assert_array_equal(images.read_image(tmp_path / "a.png")[0, :, 0], [0, 255])


@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_sixteen_bits_are_scaled_not_clipped(tmp_path, suffix):
    Image.fromarray(np.array([[0, 257 * 100, 65535]], np.uint16)).save(tmp_path / f"a.{suffix}")
    np.testing.assert_array_equal(images.read_image(tmp_path / f"a.{suffix}")[0, :, 1], [0, 100, 255])


def test_sixteen_bits_with_a_transparent_value(tmp_path):
    Image.fromarray(np.array([[0, 257 * 100]], np.uint16)).save(tmp_path / "a.png")
    whole = (tmp_path / "a.png").read_bytes()
    chunk = b"tRNS" + bytes(2)  # the value 0, by hand: older Pillows do not write it
    header_end = 8 + 25  # the signature and the chunk IHDR
    inserted = struct.pack(">I", 2) + chunk + struct.pack(">I", zlib.crc32(chunk))
    (tmp_path / "a.png").write_bytes(whole[:header_end] + inserted + whole[header_end:])
    np.testing.assert_array_equal(images.read_image(tmp_path / "a.png")[0, :, 1], [255, 100])


def test_grey_of_unknown_range_is_refused(tmp_path):
    for kind in (np.int32, np.float32):
        Image.fromarray(np.array([[0, 200]], kind)).save(tmp_path / "a.tif")
        with pytest.raises(ValueError, match=r"a\.tif: its grey values are 32-bit"):
            images.read_image(tmp_path / "a.tif")


def test_transparency_is_shown_over_white(tmp_path):
    pixels = np.zeros((1, 3, 4), np.uint8)
    pixels[0, :, 0] = 255  # red behind every alpha
    pixels[0, :, 3] = [0, 255, 51]  # invisible, opaque, a fifth
    Image.fromarray(pixels).save(tmp_path / "a.png")
    np.testing.assert_array_equal(
        images.read_image(tmp_path / "a.png"), [[[255, 255, 255], [255, 0, 0], [255, 204, 204]]]
    )


@pytest.mark.parametrize("mode", ["RGB", "L", "LA", "RGBA", "P", "PA", "1", "I;16", "CMYK", "transparent", "grey"])
@pytest.mark.parametrize("turned", [1, 6])
def test_a_part_at_a_time_is_the_same_as_all_at_once(tmp_path, monkeypatch, mode, turned):
    """Whatever has to be converted or turned; parts that do not come out even, and of less than a row."""
    colours = np.random.default_rng(0).integers(0, 256, (37, 23, 4), np.uint8)
    options = {"transparent": {"transparency": (5, 5, 5)}, "grey": {"transparency": 5}}.get(mode, {})
    if mode == "I;16":
        picture = Image.fromarray(colours[..., :2].copy().view(np.uint16)[..., 0])
    elif mode == "P":
        picture = Image.fromarray(colours[..., :3]).convert("P", palette=Image.Palette.ADAPTIVE)
        options = {"transparency": bytes(range(256))}
    else:
        colours[:5] = 5
        colour = {"PA": "LA", "transparent": "RGB", "grey": "L"}.get(mode, mode)
        picture = Image.fromarray(colours).convert("RGB" if colour == "1" else "RGBA").convert(colour)
    exif = Image.Exif()
    exif[0x0112] = turned
    path = tmp_path / ("a.tif" if mode in ("CMYK", "L", "I;16") else "a.png")
    picture.save(path, **options)
    upright = images.read_image(path)
    picture.save(path, exif=exif, **options)
    whole = images.read_image(path)
    np.testing.assert_array_equal(whole, upright if turned == 1 else np.rot90(upright, -1))
    for places in (1, 100, 2**9):
        monkeypatch.setattr(images, "_AT_ONCE", places)
        np.testing.assert_array_equal(images.read_image(path), whole)
    assert sorted(images.size_of(path)) == sorted(whole.shape[:2])


@pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "tif"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation(tmp_path, orientation, suffix):
    """The stored pixels are turned so that the orientation undoes it."""
    undo = {1: 0, 2: Image.Transpose.FLIP_LEFT_RIGHT, 3: Image.Transpose.ROTATE_180}
    undo |= {4: Image.Transpose.FLIP_TOP_BOTTOM, 5: Image.Transpose.TRANSPOSE, 6: Image.Transpose.ROTATE_90}
    undo |= {7: Image.Transpose.TRANSVERSE, 8: Image.Transpose.ROTATE_270}
    picture = Image.fromarray(QUARTERS)
    stored = picture if orientation == 1 else picture.transpose(undo[orientation])
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored.save(tmp_path / f"a.{suffix}", exif=exif, **({"quality": 95} if suffix in ("jpg", "webp") else {}))
    assert_quarters(images.read_image(tmp_path / f"a.{suffix}"), tolerance=12 if suffix == "webp" else 3)


class TestWhatIsNoPicture:
    def test_missing(self, tmp_path):
        with pytest.raises(FileNotFoundError, match=r"no picture at .*a\.jpg"):
            images.read_image(tmp_path / "a.jpg")

    def test_empty(self, tmp_path):
        (tmp_path / "a.jpg").touch()
        with pytest.raises(ValueError, match=r"a\.jpg is empty"):
            images.read_image(tmp_path / "a.jpg")

    def test_text(self, tmp_path):
        (tmp_path / "a.jpg").write_text("a picture, honestly")
        with pytest.raises(ValueError, match=r"a\.jpg is not a picture"):
            images.read_image(tmp_path / "a.jpg")

    def test_a_picture_of_another_kind(self, tmp_path):
        Image.fromarray(QUARTERS).save(tmp_path / "a.ppm")
        with pytest.raises(ValueError, match="not a picture that can be read .of JPEG, PNG"):
            images.read_image(tmp_path / "a.ppm")

    @pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "bmp", "tif"])
    @pytest.mark.parametrize("share", [0.3, 0.8])
    def test_truncated(self, tmp_path, suffix, share):
        noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
        path = tmp_path / f"a.{suffix}"
        Image.fromarray(noise).save(path)
        data = path.read_bytes()
        path.write_bytes(data[: int(len(data) * share)])
        with pytest.raises(ValueError, match=rf"a\.{suffix} is (damaged|not a picture)"):
            images.read_image(path)


class TestWarnings:
    """Pictures are read in threads, and the filters of warnings belong to all threads."""

    @pytest.fixture
    def unusual(self, tmp_path):
        """A photograph whose metadata end early, of which Pillow warns."""
        Image.fromarray(QUARTERS).save(tmp_path / "a.jpg", quality=95, exif=b"Exif\0\0II*\0\x08\0\0\0\1\0abc")
        with pytest.warns(UserWarning, match="EXIF"), Image.open(tmp_path / "a.jpg") as image:
            image.getexif()
        return tmp_path / "a.jpg"

    @pytest.fixture
    def reading(self, monkeypatch, unusual):
        """Begins to read in a thread; the function that it returns lets the thread go on, and gives what it read."""
        transposed = ImageOps.exif_transpose
        here, all_events = threading.local(), []

        def waiting(image, **options):
            begun, go_on = here.events
            begun.set()
            assert go_on.wait(30)
            return transposed(image, **options)  # it warns again

        def read(*events):
            here.events = events
            return images.read_image(unusual)

        def reading():
            begun, go_on = threading.Event(), threading.Event()
            all_events.append(go_on)
            result = pool.submit(read, begun, go_on)
            while not begun.wait(0.01):
                assert not result.done(), result.exception()
            return lambda: (go_on.set(), result.result(30))[1]

        monkeypatch.setattr(ImageOps, "exif_transpose", waiting)
        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            yield reading
            for event in all_events:  # of a test that failed
                event.set()

    def test_many_threads_leave_the_filters_as_they_were(self, unusual):
        filters, entries = warnings.filters, list(warnings.filters)
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            for pixels in pool.map(images.read_image, [unusual] * 80):  # a warning would be an error
                assert_quarters(pixels)
        assert warnings.filters is filters
        assert filters == entries

    @pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 2, 0)])
    def test_however_readings_overlap(self, reading, order):
        filters, entries = warnings.filters, list(warnings.filters)
        end = [reading() for _ in order]
        for number in order:
            assert_quarters(end[number]())
        assert warnings.filters is filters
        assert filters == entries

    def test_however_many_overlap_the_filters_do_not_grow(self, reading):
        entries, end = list(warnings.filters), reading()
        for _ in range(20):
            following = reading()
            end()
            end = following
            assert len(warnings.filters) == len(entries) + 1
        end()
        assert warnings.filters == entries

    def test_other_threads_are_warned_meanwhile(self, reading):
        end = reading()
        with pytest.raises(UserWarning, match="of something else"):
            warnings.warn("of something else", stacklevel=1)
        assert_quarters(end())

    def test_filters_of_others_that_come_and_go_meanwhile(self, unusual, reading):
        """What they bring back of ours is of no effect, and goes when the next picture has been read."""
        entries, end = list(warnings.filters), reading()
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            assert_quarters(reading()())
            end()
        with pytest.raises(UserWarning, match="of something else"):
            warnings.warn("of something else", stacklevel=1)
        reading()()
        assert warnings.filters == entries

    def test_a_failure_leaves_the_filters_as_they_were(self, tmp_path):
        entries = list(warnings.filters)
        (tmp_path / "a.jpg").write_text("a picture, honestly")
        with pytest.raises(BadValue, match="is not a picture"):
            images.read_image(tmp_path / "a.jpg")
        assert warnings.filters == entries

    def test_a_bomb_is_an_error_and_a_large_picture_is_none(self, unusual, monkeypatch):
        entries = list(warnings.filters)
        monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", QUARTERS[..., 0].size // 2 - 1)
        with pytest.raises(BadValue, match=r"a\.jpg is too large: .*decompression bomb"):
            images.read_image(unusual)
        monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", QUARTERS[..., 0].size - 1)
        assert_quarters(images.read_image(unusual))
        assert warnings.filters == entries

    @pytest.mark.parametrize("suffix", ["png", "jpg", "tif", "gif", "webp"])
    def test_a_large_picture_of_a_small_file_is_none(self, tmp_path, monkeypatch, suffix):
        """What is harmless, and how many times as large as its file a picture may be, whatever the format."""
        path = tmp_path / f"a.{suffix}"
        options = {"compression": "tiff_lzw"} if suffix == "tif" else {}
        Image.new("L" if suffix != "webp" else "RGB", (600, 500), 200).save(path, **options)
        stored = path.stat().st_size
        times = 3 * 600 * 500 / stored  # from 160 of a JPEG to 800 and more of a PNG
        monkeypatch.setattr(images, "_HARMLESS", 600 * 500)
        monkeypatch.setattr(images, "_MOST_PACKED", times - 0.1)
        assert images.read_image(path).shape == (500, 600, 3)
        monkeypatch.setattr(images, "_HARMLESS", 600 * 500 - 1)
        with pytest.raises(
            BadValue, match=rf"a\.{suffix} is too large: it claims 300,000 pixels, from {stored:,} bytes"
        ):
            images.read_image(path)
        with pytest.raises(BadValue, match="the picture is too large: it claims 300,000 pixels"):
            images.check_encoded(path.read_bytes())
        assert photograph.bytes_of(str(path)) == 0  # told when it is read
        monkeypatch.setattr(images, "_MOST_PACKED", times)
        assert images.read_image(path).shape == (500, 600, 3)
        assert photograph.bytes_of(str(path)) == 600 * 500 * 3

    def test_what_libheif_reads_has_pillow_s_limit(self, tmp_path, monkeypatch):
        """Pillow's own does not hold there."""
        path = tmp_path / "a.heic"
        path.write_bytes(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(10**6))
        file = types.SimpleNamespace(size=(20000, 10000), to_pillow=lambda: pytest.fail("it was decoded"))
        monkeypatch.setitem(sys.modules, "pillow_heif", types.SimpleNamespace(open_heif=lambda _: file))
        monkeypatch.setitem(images._READERS, "HEIF", images._READERS["HEIF"]._replace(here=True))
        with pytest.raises(BadValue, match=r"a\.heic is too large: it is 20000 x 10000 pixels"):
            images.read_image(path)


class TestFit:
    def test_stretch_takes_all_of_it(self):
        fitted = photograph.fit_image(QUARTERS, (10, 10), "stretch")
        assert fitted.shape == (10, 10, 3)
        for (row, column), centre in zip([(2, 2), (2, 7), (7, 2), (7, 7)], CENTRES, strict=True):
            np.testing.assert_array_equal(fitted[row, column], QUARTERS[centre])

    def test_crop_takes_the_central_square(self):
        assert photograph.region((32, 48), "crop") == (slice(0, 32), slice(8, 40))
        assert photograph.region((49, 32), "crop") == (slice(8, 40), slice(0, 32))
        np.testing.assert_array_equal(photograph.fit_image(QUARTERS, (32, 32), "crop"), QUARTERS[:, 8:40])

    def test_shrinking_averages_and_does_not_alias(self):
        stripes = np.zeros((64, 64, 3), np.uint8)
        stripes[:, ::2] = 200
        np.testing.assert_array_equal(photograph.fit_image(stripes, (8, 8)), np.full((8, 8, 3), 100))

    def test_place_puts_a_cropped_map_back(self):
        whole = photograph.place(np.ones((4, 4), np.float32), (32, 48), "crop")
        assert whole.shape == (32, 48)
        assert whole[:, 8:40].all()
        assert not whole[:, :8].any()
        assert not whole[:, 40:].any()

    def test_an_axis_that_shrinks_is_averaged_though_the_other_grows(self):
        stripes = np.zeros((20, 640, 3), np.uint8)
        stripes[:, ::2] = 200
        np.testing.assert_array_equal(photograph.fit_image(stripes, (64, 64), "stretch"), np.full((64, 64, 3), 100))

    @pytest.mark.parametrize("kind", [bool, np.float16, np.int64, np.float64])
    def test_other_types_become_float32(self, kind):
        fitted = photograph.fit_image(np.ones((8, 9, 3), kind), (4, 12))
        assert fitted.dtype == np.float32
        np.testing.assert_array_equal(fitted, np.ones((4, 12, 3)))

    def test_an_unknown_fit_lists_the_choices(self):
        with pytest.raises(ValueError, match="'pad'.*stretch, crop"):
            photograph.fit_image(QUARTERS, (8, 8), "pad")


@pytest.mark.parametrize("fit", photograph.FITS)
def test_a_heat_map_comes_back_to_the_object(fit):
    """A bright square goes through fitting; a cam with the same peak must land on it in the photograph."""
    pixels = np.zeros((90, 150, 3), np.uint8)
    pixels[60:75, 80:95] = 255
    photograph = Photograph("x", pixels, fit)
    small = photograph.fitted((28, 28))[..., 0].astype(float)
    cam = small.reshape(7, 4, 7, 4).mean(axis=(1, 3))
    heatmap = photograph.heatmap(cam)
    assert heatmap.shape == (90, 150)
    row, column = np.unravel_index(heatmap.argmax(), heatmap.shape)
    assert 55 <= row <= 80
    assert 75 <= column <= 100


def test_an_overlay_is_dark_where_the_network_did_not_look():
    photograph = Photograph("x", QUARTERS, "crop")
    whole = photograph.overlay(np.zeros((32, 48), np.float32), "gray", 0.5, grey=False)
    np.testing.assert_array_equal(whole[:, :8], QUARTERS[:, :8] // 3)
    np.testing.assert_array_equal(whole[:, 40:], QUARTERS[:, 40:] // 3)
    np.testing.assert_array_equal(whole[:, 8:40], np.rint(QUARTERS[:, 8:40] / 2))  # half the picture, half black
    with_grey = photograph.overlay(np.zeros((32, 48), np.float32), "gray", 0.5)
    luma = np.rint(QUARTERS @ [0.299, 0.587, 0.114])
    np.testing.assert_allclose(with_grey[:, :8], np.repeat(luma[:, :8, None] // 3, 3, axis=-1), atol=1)


class TestSamples:
    @pytest.mark.parametrize("name", samples.SAMPLES)
    def test_each_is_an_rgb_photograph_of_the_documented_size(self, name):
        pixels = samples.SAMPLES[name]()
        assert pixels.dtype == np.uint8
        assert str(list(pixels.shape)) in samples.SAMPLES[name].__doc__
        assert pixels.std() > 20

    def test_coffee_is_red_brown_so_rgb_is_not_swapped(self):
        red, _, blue = samples.coffee().mean(axis=(0, 1))
        assert red > blue

    def test_by_name(self):
        assert read_photograph("sample:coffee").name == "coffee"
        with pytest.raises(KeyError, match="'tea'.*chelsea, coffee"):
            read_photograph("sample:tea")


class TestExpand:
    def test_folders_become_their_pictures_in_order(self, tmp_path):
        for name in ("b.JPG", "a.png", "notes.txt"):
            (tmp_path / name).touch()
        assert expand([str(tmp_path), "sample:coffee", "c.webp"]) == [
            str(tmp_path / "a.png"),
            str(tmp_path / "b.JPG"),
            "sample:coffee",
            "c.webp",
        ]

    def test_a_folder_without_pictures(self, tmp_path):
        with pytest.raises(FileNotFoundError, match="no pictures in"):
            expand([str(tmp_path)])
