"""Folders of pictures of mixed kinds, and what is left out of them."""

import types

import numpy as np
import pytest
from PIL import Image, features

from gradcam.pictures import SUFFIXES, expand, images, read_image, write_png
from slim_models.mistakes import MissingFile, MissingPackage

RED = np.zeros((16, 24, 3), np.uint8) + np.array([200, 30, 40], np.uint8)


@pytest.fixture
def folder(tmp_path):
    """Two pictures, one of them in a folder, and what is none."""
    (tmp_path / "in" / "deep" / "deeper").mkdir(parents=True)
    (tmp_path / "in" / ".git").mkdir()
    for name in ("b.png", "deep/a.gif", "deep/deeper/c.JPG", ".git/d.png", "._b.png"):
        path = tmp_path / "in" / name
        Image.fromarray(RED).save(path)
    for name in ("notes.txt", "list.txt", "film.mov", "LICENSE", "deep/more.txt"):
        (tmp_path / "in" / name).touch()
    write_png(tmp_path / "in" / "b.tabby.overlay.png", RED, {"network": "vgg16"})
    write_png(tmp_path / "in" / "mine.overlay.png", RED)
    return tmp_path / "in"


def found(folder, sources):
    return [source.removeprefix(f"{folder}/") for source in sources]


def test_what_is_left_out_is_counted_by_type(folder):
    told = []
    assert found(folder, expand([str(folder)], say=told.append)) == ["b.png", "mine.overlay.png"]
    assert told == [
        f"{folder}: 2 pictures; left out: 1 .mov, 2 .txt, 1 folder (--recursive), 1 hidden, 1 without a suffix, "
        "1 written by gradcam explain"
    ]


def test_recursive(folder):
    told = []
    pictures = expand([str(folder)], recursive=True, say=told.append)
    assert found(folder, pictures) == ["b.png", "deep/a.gif", "deep/deeper/c.JPG", "mine.overlay.png"]
    assert "3 .txt" in told[0] and "--recursive" not in told[0]


def test_a_folder_without_pictures_is_told_if_there_are_others(folder, tmp_path):
    (tmp_path / "empty").mkdir()
    told = []
    sources = [str(tmp_path / "empty"), str(folder / "b.png")]
    assert expand(sources, say=told.append) == sources[1:]
    assert told == [f"no pictures in {tmp_path / 'empty'}: looked for {', '.join(SUFFIXES)}"]
    for given, say in ((sources, None), (sources[:1], told.append)):
        with pytest.raises(MissingFile, match="no pictures in .*empty"):
            expand(given, say=say)
    (tmp_path / "empty" / "film.mov").touch()
    with pytest.raises(MissingFile, match=r"there are 1 \.mov$"):
        expand(sources[:1])


def test_the_first_frame_of_a_gif(tmp_path):
    frames = [Image.fromarray(RED), Image.fromarray(255 - RED)]
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:])
    np.testing.assert_allclose(read_image(tmp_path / "a.gif"), RED, atol=8)


@pytest.mark.parametrize(("feature", "name"), [("avif", "a.avif"), ("jpg_2000", "a.jp2"), ("jpg_2000", "a.j2k")])
def test_formats_of_some_pillows(feature, name, tmp_path):
    if feature not in {**features.modules, **features.codecs} or not features.check(feature):
        pytest.skip(f"this Pillow has no {feature}")
    Image.fromarray(RED).save(tmp_path / name)
    (tmp_path / name).rename(tmp_path / "called.jpg")  # what it is counts, not what it is called
    np.testing.assert_allclose(read_image(tmp_path / "called.jpg"), RED, atol=8)
    assert (tmp_path / name).suffix in SUFFIXES


HEIC = b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(64)


@pytest.mark.parametrize(
    ("form", "start", "package"),
    [
        ("HEIF", HEIC, "pip install pillow-heif"),
        ("AVIF", b"\0\0\0\x20ftypavif\0\0\0\0avifmif1miaf" + bytes(64), "pip install -U pillow"),
        ("JPEG2000", b"\0\0\0\x0cjP  \r\n\x87\n" + bytes(64), "OpenJPEG"),
    ],
)
def test_what_would_read_a_file_is_named(form, start, package, tmp_path, monkeypatch):
    (tmp_path / "IMG_1.JPG").write_bytes(start)
    monkeypatch.setitem(images._READERS, form, images._READERS[form]._replace(here=False))
    with pytest.raises(MissingPackage, match=f"IMG_1.JPG is {form}, which is not read here: .*{package}"):
        read_image(tmp_path / "IMG_1.JPG")


def test_what_would_read_them_is_said_of_a_folder(tmp_path, monkeypatch):
    for name in ("a.heic", "b.HEIC", "c.png"):
        Image.fromarray(RED).save(tmp_path / name, format="PNG")
    monkeypatch.setattr(images, "NEEDED", {".heic": "pip install pillow-heif"})
    told = []
    assert len(expand([str(tmp_path)], (".png",), say=told.append)) == 1
    assert told[0].endswith("left out: 2 .heic (pip install pillow-heif)")


def test_heic_with_its_package(tmp_path, monkeypatch):
    """By as much of the package as is used, where it is not installed."""
    path = tmp_path / "a.heic"
    try:
        import pillow_heif

        pillow_heif.from_pillow(Image.fromarray(RED)).save(path)
    except ImportError:
        path.write_bytes(HEIC)
        file = types.SimpleNamespace(size=RED.shape[1::-1], to_pillow=lambda: Image.fromarray(RED))
        opened = types.SimpleNamespace(open_heif=lambda given: file if given == path else None)
        monkeypatch.setitem(__import__("sys").modules, "pillow_heif", opened)
        monkeypatch.setitem(images._READERS, "HEIF", images._READERS["HEIF"]._replace(here=True))
    np.testing.assert_allclose(read_image(path), RED, atol=8)
