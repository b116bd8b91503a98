"""The scripts, run as a user runs them."""

import json
import subprocess
import sys
import zipfile
from pathlib import Path

import benchmark_folder
import numpy as np
import pytest
import train_tiny
from PIL import Image

import slim_models

SCRIPTS = Path(__file__).parents[2] / "scripts"


def script(name, *arguments, cwd=None):
    command = [sys.executable, SCRIPTS / name, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=600, cwd=cwd)


class TestFigure1:
    def test_on_the_default_networks(self, tmp_path):
        """As the README has it, but for the occlusion maps, which are coarser here than by default."""
        result = script("reproduce_figure1.py", "--stride", "32", cwd=tmp_path)
        assert result.returncode == 0, result.stderr
        assert result.stdout.split() == [str(Path("out/figure1.png")), str(Path("out/figure1.json"))]
        with Image.open(tmp_path / "out" / "figure1.png") as figure:
            width, height = figure.size
        assert width > 2000  # 300 dpi
        assert height > 500

    def test_a_mistake_is_one_line(self, tmp_path):
        result = script("reproduce_figure1.py", "--classes", "tabby", "unicorn", cwd=tmp_path)
        assert result.returncode == 2
        assert "no class 'unicorn'" in result.stderr
        assert result.stderr.count("\n") == 1
        assert not list(tmp_path.iterdir())


class TestBenchmarkFolder:
    def test_it_tells_both_speeds_and_their_ratio(self, tmp_path, monkeypatch, capsys):
        monkeypatch.chdir(tmp_path)
        flags = ["--count", "5", "--size", "90x60", "--batch", "2", "--rounds", "2", "--json", "folder.json"]
        benchmark_folder.main(flags)
        assert "pictures a second" in capsys.readouterr().out
        numbers = json.loads((tmp_path / "folder.json").read_text())
        assert numbers["settings"]["count"] == 5
        seconds = numbers["seconds_a_picture"]
        assert len(seconds["session"]) == len(seconds["folder"]) == 2
        assert set(seconds["stages"]) == {"decoding", "fitting", "heat map", "overlay", "PNG"}
        ratio = numbers["folder_pictures_a_second"] / numbers["session_pictures_a_second"]
        assert numbers["ratio"] == pytest.approx(ratio)
        assert [path.name for path in tmp_path.iterdir()] == ["folder.json"]

    def test_its_photographs_are_all_different_and_the_same_every_time(self, tmp_path):
        read = []
        for folder in ("a", "b"):
            (tmp_path / folder).mkdir()
            paths = benchmark_folder.make_photographs(tmp_path / folder, 12, (40, 50), seed=3)
            read.append([Path(path).read_bytes() for path in paths])
            with Image.open(paths[0]) as image:
                assert (image.format, image.size) == ("JPEG", (50, 40))
        assert read[0] == read[1]
        assert len(set(read[0])) == 12

    @pytest.mark.parametrize("flags", [["--size", "500"], ["--size", "0x5"], ["--count", "0"], ["--batch", "-1"]])
    def test_a_mistake(self, flags):
        with pytest.raises(ValueError, match=flags[0]):
            benchmark_folder.main(flags)


@pytest.fixture(scope="module")
def tiny_imagenet(tmp_path_factory):
    """A folder laid out like Tiny ImageNet: two classes, 500 + 500 and 10 pictures; red ones and blue ones."""
    root = tmp_path_factory.mktemp("data") / "tiny-imagenet-200"
    rng = np.random.default_rng(0)

    def picture(path, label):
        path.parent.mkdir(parents=True, exist_ok=True)
        pixels = rng.integers(0, 60, (64, 64, 3), np.uint8)
        pixels[..., 0 if label == 0 else 2] += 180
        Image.fromarray(pixels).save(path, format="JPEG")

    wnids = ["n01443537", "n07920052"]
    for label, wnid in enumerate(wnids):
        for i in range(500):
            picture(root / "train" / wnid / "images" / f"{wnid}_{i}.JPEG", label)
    rows = []
    for i in range(10):
        picture(root / "val" / "images" / f"val_{i}.JPEG", i % 2)
        rows.append(f"val_{i}.JPEG\t{wnids[i % 2]}\t0\t0\t63\t63\n")
    (root / "val" / "val_annotations.txt").write_text("".join(rows))
    (root / "wnids.txt").write_text("\n".join(wnids[::-1]) + "\n")  # the official file is not sorted
    return root


class TestTinyImageNet:
    def test_folder_and_zip_are_the_same(self, tiny_imagenet, tmp_path):
        with zipfile.ZipFile(tmp_path / "data.zip", "w") as archive:
            for path in tiny_imagenet.rglob("*"):
                archive.write(path, path.relative_to(tiny_imagenet.parent))
        for split, count in (("train", 1000), ("val", 10)):
            folder, packed = (train_tiny.read_split(p, split) for p in (tiny_imagenet, tmp_path / "data.zip"))
            np.testing.assert_array_equal(folder.images, packed.images)
            np.testing.assert_array_equal(folder.labels, packed.labels)
            assert folder.images.shape == (count, 64, 64, 3)
            assert folder.wnids == ("n01443537", "n07920052")  # in the order of the logits
            red = folder.images[..., 0].mean(axis=(1, 2)) > folder.images[..., 2].mean(axis=(1, 2))
            np.testing.assert_array_equal(red, folder.labels == 0)

    def test_what_is_none(self, tmp_path):
        with pytest.raises(FileNotFoundError, match=r"no Tiny ImageNet at .*cs231n"):
            train_tiny.read_split(tmp_path, "val")
        with pytest.raises(ValueError, match=r"'test'.*train, val"):
            train_tiny.read_split(tmp_path, "test")


@pytest.fixture
def train(monkeypatch, capsys):
    """Runs the training script, without a process of its own to import TensorFlow in; what it printed."""

    def trained(*arguments):
        monkeypatch.setattr(sys, "argv", ["train_tiny.py", *map(str, arguments)])
        train_tiny.main()
        return capsys.readouterr().out

    return trained


def test_training_begins_with_weights_and_ends_when_its_time_is_over(train, tiny_imagenet, tmp_path):
    """The first step's rate is 0, so that of the embedded weights only batch norm's statistics move, by 2 %."""
    embedded = slim_models.find_weights("vgg16_tiny")
    flags = ["--network", "vgg16_tiny", "--sizes", "112x9", "--hours", 1e-6, "--start", embedded, "--out", tmp_path]
    train(tiny_imagenet, *flags)
    expected, found = (slim_models.read_weights(path) for path in (embedded, tmp_path / "vgg16_tiny.npy"))
    for name, value in expected.items():
        if name.endswith("weights"):
            assert np.corrcoef(found[name].ravel(), value.ravel())[0, 1] > 0.99, name
    # An epoch of the 9 that there was no time for.
    assert len((tmp_path / "log.csv").read_text().splitlines()) == 2


def test_a_teacher_needs_all_classes(tiny_imagenet, tmp_path):
    result = script("train_tiny.py", tiny_imagenet, "--teacher", "resnet_v1_50_tiny", "--out", tmp_path)
    assert result.returncode == 2
    assert result.stderr.count("\n") == 1
    assert "has 2 classes; --teacher needs the network's 200" in result.stderr


@pytest.mark.parametrize(
    "flags", [("--network", "vgg16_tiny"), ("--network", "resnet_v1_50_tiny", "--start", "resnet_v1_50_tiny.ckpt")]
)
def test_weights_are_kept_only_of_plain_networks(flags, train, tmp_path):
    with pytest.raises(ValueError, match=r"--keep 0.7 needs --start, and a network .* without batch norm"):
        train(tmp_path, "--keep", 0.7, *flags)


@pytest.mark.parametrize("name", ["resnet_v1_50_tiny", "vgg16_tiny"])
def test_training_learns_resumes_and_writes_weights_that_the_network_takes(name, train, tiny_imagenet, tmp_path):
    """Red against blue, at 32 pixels: an epoch, and after an interruption one more."""
    flags = [tiny_imagenet, "--network", name, "--out", tmp_path, "--rate", "0.02"]
    first = train(*flags, "--sizes", "32x1")
    second = train(*flags, "--sizes", "32x2")
    assert "epoch 1 at" in first
    assert "epoch 1 at" not in second
    assert "epoch 2 at 32 px" in second
    log = (tmp_path / "log.csv").read_text().splitlines()
    assert len(log) == 3
    losses = [float(line.split(",")[2]) for line in log[1:]]
    assert losses[1] < 0.85 * np.log(200)  # chance: that the classes are two of the 200 has been learnt
    assert losses[1] < losses[0] or name == "vgg16_tiny"  # whose loss wavers, by its dropout, in so few steps
    assert (tmp_path / "curve.png").stat().st_size > 1000
    weights = slim_models.read_weights(tmp_path / slim_models.NETWORKS[name].file)
    shapes = {n: tuple(v.shape.as_list()) for n, v in slim_models.build(name).variables().items()}
    assert {name: array.shape for name, array in weights.items()} == shapes
    assert all(np.isfinite(array).all() for array in weights.values())
    halves = {name for name, array in weights.items() if array.dtype == np.float16}
    assert halves == {name for name in shapes if name.endswith("/weights")}
    assert {array.dtype for name, array in weights.items() if name not in halves} == {np.dtype(np.float32)}
