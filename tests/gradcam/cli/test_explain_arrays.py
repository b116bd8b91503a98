"""`gradcam explain` of arrays: npy files and TIFFs, for networks of K channels and pictures that are prepared."""

import numpy as np
import pytest
import tensorflow.compat.v1 as tf
from foreign import constant, write_pb
from PIL import Image

import slim_models
from gradcam import maps, read_heatmap
from gradcam.cli.main import main
from gradcam.explainer import Explainer
from gradcam.pictures import Photograph, resize
from gradcam.pictures.bands import as_rgb

RANDOM = np.random.default_rng(0)
SCENE = RANDOM.integers(0, 10_000, (36, 48, 6)).astype(np.uint16)


def run(*arguments):
    return main([str(argument) for argument in arguments])


def network_file(folder, channels):
    with tf.Graph().as_default() as graph:
        images = tf.placeholder(tf.float32, [None, 24, 24, channels], name="input")
        net = tf.nn.relu(tf.nn.conv2d(images / 1000, constant([3, 3, channels, 8]), 2, "SAME"))
        net = tf.nn.relu(tf.nn.conv2d(net, constant([3, 3, 8, 12], 2), 1, "SAME"), name="last")
        tf.nn.softmax(tf.matmul(tf.reduce_mean(net, [1, 2]), constant([12, 7], 4)))
    return write_pb(folder / f"net{channels}.pb", graph.as_graph_def())


@pytest.fixture(scope="module")
def six(tmp_path_factory):
    """A network of six channels: its path."""
    return network_file(tmp_path_factory.mktemp("six"), 6)


@pytest.fixture(scope="module")
def three(tmp_path_factory):
    """One of three: its path."""
    return network_file(tmp_path_factory.mktemp("three"), 3)


def write_scene(folder, name="scene"):
    np.save(folder / f"{name}.npy", SCENE)
    return folder / f"{name}.npy"


def write_pages(path):
    pages = [Image.fromarray(np.ascontiguousarray(SCENE[..., band])) for band in range(6)]
    pages[0].save(path, save_all=True, append_images=pages[1:])
    return path


def explained(network, images, **options):
    with Explainer(slim_models.load(network, **options), rules=["guided"]) as explainer:
        return explainer.explain(images, 2)


def read(path):
    with Image.open(path) as image:
        return np.asarray(image)


@pytest.mark.parametrize("kind", ["npy", "tif"])
def test_the_files_are_those_of_the_array(six, kind, tmp_path, capsys):
    source = write_scene(tmp_path) if kind == "npy" else write_pages(tmp_path / "scene.tif")
    assert run("explain", source, "--network", six, "--target", 2, "--out", tmp_path / "out") == 0
    told = capsys.readouterr()
    assert f"{source} (48 x 36) -> " in told.out
    assert "pictures are arrays [N, 24, 24, 6] of any numbers, taken as they are" in told.err
    # 36 x 48 -> 24 x 24: means over 2 columns, and over 1.5 rows.
    columns = SCENE.reshape(36, 24, 2, 6).mean(2)
    rows = columns.reshape(12, 3, 24, 6)
    fitted = np.stack([rows[:, 0] * 2 + rows[:, 1], rows[:, 1] + rows[:, 2] * 2], axis=1).reshape(24, 24, 6) / 3
    expected = explained(six, fitted[None])
    names = {f"scene.class_2.net6.{end}" for end in ("npz", "overlay.png", "figure.png")}
    assert {path.name for path in (tmp_path / "out").iterdir()} == names
    with np.load(tmp_path / "out" / "scene.class_2.net6.npz") as arrays:
        np.testing.assert_allclose(arrays["images"], fitted, rtol=1e-5)
        for name, array in (
            ("logits", expected.logits),
            ("guided", expected.saliency["guided"]),
            ("guided_grad_cam", expected.guided_grad_cam()),
        ):
            np.testing.assert_allclose(arrays[name], array[0], rtol=1e-3, atol=1e-4 * np.abs(array).max())
        assert arrays["guided_grad_cam"].shape == (24, 24, 6)
        grey = as_rgb(SCENE.astype(np.float32))
        assert (grey == grey[..., :1]).all()
        overlay = maps.overlay(grey, maps.heatmap(arrays["cam"][None], (36, 48))[0])
    np.testing.assert_array_equal(read(tmp_path / "out" / "scene.class_2.net6.overlay.png"), overlay)


def test_bands_and_crop(six, tmp_path):
    flags = ("--bands", "5,3,1", "--fit", "crop", "--target", 2, "--out", tmp_path)
    assert run("explain", write_scene(tmp_path), "--network", six, *flags) == 0
    with np.load(tmp_path / "scene.class_2.net6.crop.npz") as arrays:
        np.testing.assert_allclose(arrays["images"], resize(SCENE[:, 6:42], (24, 24)), rtol=1e-6)
    heatmap = read_heatmap(tmp_path / "scene.class_2.net6.crop.npz")
    colours = as_rgb(SCENE[..., [4, 2, 0]].astype(np.float32))
    overlay = np.repeat(maps.luma(colours), 3, axis=-1) // 3
    overlay[:, 6:42] = maps.overlay(colours[:, 6:42], heatmap[:, 6:42])
    np.testing.assert_array_equal(read(tmp_path / "scene.class_2.net6.crop.overlay.png"), overlay)


def test_a_figure_shows_the_bands(six):
    """Of guided backprop as of the picture."""
    from gradcam.panels import panels, pixels_of

    picture = Photograph.of_array("scene", SCENE, bands=(5, 3, 1))
    explanation = explained(six, picture.fitted((24, 24))[None])
    shown = {name: pixels_of(panel) for name, panel in panels(picture, explanation).items()}
    np.testing.assert_array_equal(shown["original"], as_rgb(SCENE[..., [4, 2, 0]].astype(np.float32)))
    saliency = resize(explanation.saliency["guided"][0][..., [4, 2, 0]], (36, 48))
    np.testing.assert_array_equal(shown["guided backprop"], maps.display(saliency[None])[0])
    mean = panels(Photograph.of_array("scene", SCENE), explanation)["guided Grad-CAM"].pixels()
    assert (mean == mean[..., :1]).all()
    product = resize(explanation.guided_grad_cam()[0].mean(-1), (36, 48))
    np.testing.assert_allclose(mean, maps.display(np.repeat(product[None, ..., None], 3, axis=-1))[0], atol=1)


def test_several_pictures_in_a_file(six, tmp_path):
    stack = np.stack([SCENE[:24, :24], SCENE[12:, 24:], SCENE[:24, 20:44]])
    np.save(tmp_path / "stack.npy", stack)
    assert run("explain", tmp_path / "stack.npy", "--network", six, "--write", "arrays", "--target", 2, "--batch", 2,
               "--out", tmp_path / "out") == 0  # fmt: skip
    expected = explained(six, stack)
    for number in range(3):
        with np.load(tmp_path / "out" / f"stack-{number}.class_2.net6.npz") as arrays:
            np.testing.assert_array_equal(arrays["images"], stack[number])
            np.testing.assert_allclose(arrays["logits"], expected.logits[number], rtol=1e-4)
    tables = {"predictions.net6.csv", "predictions.net6.json"}
    assert len({path.name for path in (tmp_path / "out").iterdir()} - tables) == 3
    one = tmp_path / "one"
    assert run("explain", f"{tmp_path / 'stack.npy'}[1]", "--network", six, "--out", one, "--write", "overlay") == 0
    (path,) = one.iterdir()
    assert path.name.startswith("stack-1.")


def test_a_folder_and_what_fails_in_it(six, tmp_path, capsys):
    folder = tmp_path / "scenes"
    folder.mkdir()
    write_scene(folder, "a")
    write_pages(folder / "b.tiff")
    np.save(folder / "c.npy", SCENE[..., :5])
    np.save(folder / "d.npy", np.full((24, 24, 6), np.nan))
    (folder / "e.npy").write_bytes(b"\x93NUMPY damaged")
    Image.fromarray(SCENE[..., :3].astype(np.uint8)).save(folder / "photo.png")
    assert run("explain", folder, "--network", six, "--write", "overlay", "--out", tmp_path / "out") == 1
    assert sorted(path.name[:2] for path in (tmp_path / "out").glob("*.overlay.png")) == ["a.", "b."]
    told = capsys.readouterr().err
    assert f"{folder}: 5 pictures; left out: 1 .png\n" in told
    *_, wrong, nan, damaged, count = told.splitlines()
    assert wrong.endswith("c.npy is [36, 48, 5], and the network takes pictures [H, W, 6]")
    assert nan.endswith("d.npy: not finite; there is a NaN, an infinity, or a number beyond float32")
    assert "e.npy is no array that can be read: it is an npy file" in damaged
    assert count == "gradcam: 3 of 5 pictures failed"


@pytest.mark.parametrize("channels", [1, 3])
def test_prepared(channels, tmp_path):
    network = network_file(tmp_path, channels)
    array = RANDOM.normal(0, 3, (24, 24, channels))
    np.save(tmp_path / "a.npy", array[..., 0] if channels == 1 else array)
    flags = ("--network", network, "--prepared", "--target", 2, "--out", tmp_path / "out")
    assert run("explain", tmp_path / "a.npy", *flags) == 0
    with np.load(tmp_path / "out" / f"a.class_2.net{channels}.npz") as arrays:
        np.testing.assert_array_equal(arrays["images"], array.astype(np.float32))
        expected = explained(network, array[None], prepared=True)
        np.testing.assert_allclose(arrays["logits"], expected.logits[0], rtol=1e-4)


def test_photographs_in_npy_files(three, tmp_path):
    pixels = SCENE[..., :3] % 256
    np.save(tmp_path / "a.npy", pixels.astype(np.uint8))
    Image.fromarray(pixels.astype(np.uint8)).save(tmp_path / "b.png")
    np.save(tmp_path / "c.npy", pixels[:24, :24] * 0.75)
    sources = [tmp_path / name for name in ("a.npy", "b.png", "c.npy")]
    flags = ("--network", three, "--preprocessing", "none", "--target", 2, "--out", tmp_path / "out")
    assert run("explain", *sources, *flags) == 0
    assert (
        read(tmp_path / "out/a.class_2.net3.overlay.png").tolist()
        == read(tmp_path / "out/b.class_2.net3.overlay.png").tolist()
    )
    with np.load(tmp_path / "out/c.class_2.net3.npz") as arrays:
        np.testing.assert_array_equal(arrays["images"], pixels[:24, :24] * 0.75)


class TestErrors:
    @pytest.fixture
    def told(self, six, three, tmp_path, capsys):
        """The last line of what is told of a run, which fails and writes nothing; six and three name the networks."""
        write_scene(tmp_path)
        np.save(tmp_path / "three.npy", RANDOM.normal(size=(24, 24, 3)))
        names = {"six": six, "three": three, "scene": tmp_path / "scene.npy", "three.npy": tmp_path / "three.npy"}

        def run_and_read(*words):
            assert run("explain", *(names.get(word, word) for word in words), "--out", tmp_path / "out") == 2
            assert not (tmp_path / "out").exists()
            return capsys.readouterr().err.splitlines()[-1]

        return run_and_read

    @pytest.mark.parametrize(
        ("words", "message"),
        [
            (
                ["sample:coffee", "--network", "six"],
                "gradcam: sample:coffee is a photograph, and the network takes arrays [H, W, 6]: give an npy file, or "
                "a TIFF whose pages are the bands",
            ),
            (
                ["scene", "--network", "six", "--bands", "1,2"],
                "bands are three (R, G, B) or one (grey), from 1 to 6, not",
            ),
            (["scene", "--network", "six", "--bands", "7"], "(grey), from 1 to 6, not 7"),
            (["scene", "--network", "six", "--bands", "0,1,2"], "from 1 to 6, not 0,1,2"),
            (
                ["scene", "--network", "six", "--bands", "red"],
                "gradcam: --bands are three numbers such as 3,2,1, or one",
            ),
            (
                ["scene", "--network", "three", "--preprocessing", "none", "--bands", "1"],
                "gradcam: --bands are of arrays, and net3 takes photographs",
            ),
            (
                ["three.npy", "--network", "three", "--preprocessing", "none"],
                "(what the graph takes as it is has to be given as prepared, --prepared)",
            ),
            (
                ["three.npy", "--network", "three", "--preprocessing", "none", "--prepared"],
                "gradcam: prepared pictures go in as they are, and preprocessing 'none' would change them",
            ),
            (
                ["sample:coffee", "--prepared"],
                "is a network of ours, whose tensors are known: it takes",
            ),
        ],
    )
    def test_one_line(self, told, words, message):
        assert message in told(*words)


@pytest.mark.parametrize("flags", [[], ["--preprocessing", "mean=1/2/3/4/5/6"], ["--prepared"]])
def test_layers(six, flags, capsys):
    assert run("layers", six, *flags) == 0
    assert "last  12 x 12 x 12  (default)" in capsys.readouterr().out
