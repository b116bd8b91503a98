"""What a command says before TensorFlow is there: mistakes, the networks, failures of downloads."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import slim_models
from gradcam.cli.main import main
from gradcam.terminal import quiet_tensorflow
from slim_models.builders import NETWORKS

TINY = ["--network", "resnet_v1_50_tiny"]
ROOT = Path(__file__).parents[3]
RUN = """
import contextlib, io, json, sys
from gradcam.cli import main
for arguments in json.load(sys.stdin):
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = main(arguments)
    brought = sorted({"tensorflow", "matplotlib"} & set(sys.modules))
    print(json.dumps([code, out.getvalue(), err.getvalue(), brought]))
"""
WITHOUT = {
    "a picture": (["explain", "none.jpg"], "no picture at none.jpg"),
    "pictures": (
        ["explain", "a.jpg", "b.jpg"],
        "none of the 2 pictures is there: no picture at a.jpg; no picture at b",
    ),
    "a sample": (["explain", "sample:tea"], "no sample 'tea'; the samples are chelsea, "),
    "a method": (["explain", "sample:chelsea", "--method", "score"], "no method 'score'; the methods are grad_cam, "),
    "a colormap": (["explain", "sample:chelsea", "--colormap", "rainbow"], "no colormap 'rainbow'; the colormaps are "),
    "an opacity": (["explain", "sample:chelsea", "--opacity", "50"], "--opacity must be from 0 to 1, not 50"),
    "a scale": (["explain", "sample:chelsea", "--scale", "log"], "no scale 'log'; the scales are own, shared"),
    "a scale of one": (["explain", "sample:chelsea", "--scale", "shared"], "--scale shared is of several classes of a"),
    "an output": (["explain", "sample:chelsea", "--write", "movie"], "no output 'movie'; the outputs are overlay, "),
    "a batch": (["explain", "sample:chelsea", "--batch", "0"], "--batch must be at least 1, not 0"),
    "a precision": (["explain", "sample:chelsea", "--precision", "half"], "no precision 'half'; the precisions are "),
    "bands": (["explain", "sample:chelsea", "--bands", "red"], "--bands are three numbers such as 3,2,1"),
    "a class": (["explain", "sample:chelsea", *TINY, "--target", "qwertz"], "no class 'qwertz' among the 200 of "),
    "an index": (["explain", "sample:chelsea", *TINY, "--target", "200"], "no class 200; the classes are 0 to 199"),
    "a layer": (["explain", "sample:chelsea", *TINY, "--layer", "conv9"], "resnet_v1_50_tiny has no layer 'conv9'; "),
    "a network": (["explain", "sample:chelsea", "--network", "vgg61"], "no network 'vgg61'; the networks are vgg16, "),
    "weights": (["explain", "sample:chelsea", "--weights", "none.npy"], "no weights at none.npy"),
    "weights of ours": (["explain", "sample:chelsea", "--network", "vgg16"], "no weights for vgg16: fetch them with "),
    "a checkpoint": (["explain", "sample:chelsea", "--weights", "model.ckpt-7"], "no weights at model.ckpt-7"),
    "labels": (["explain", "sample:chelsea", *TINY, "--labels", "names.txt"], "no list of classes 'names.txt'"),
    "few labels": (["explain", "sample:chelsea", *TINY, "--labels", "imagenet"], "1000 labels in imagenet for 200"),
    "a preprocessing": (["explain", "sample:tea", *TINY, "--preprocessing", "x"], "resnet_v1_50_tiny is a network of"),
    "layers": (["layers", "vgg61"], "no network 'vgg61'"),
    "inspect": (["inspect", "none.pb"], "nothing at none.pb"),
    "a reference": (["compare", "none.npz", "--network", "vgg16_tiny"], "no reference at none.npz"),
    "a layout": (["compare", "none.npz", "--network", "vgg16_tiny", "--layout", "torch"], "no layout 'torch'"),
    "data": (["evaluate", "localization", "--data", "none"], "there is nothing at none; data sets are 'samples', "),
    "methods": (["evaluate", "pointing", "--methods", "score"], "no method 'score'; the methods are grad_cam, "),
    "a limit": (["evaluate", "ablations", "--limit", "0"], "--limit must be at least 1, not 0"),
    "a picture of a sanity check": (["evaluate", "sanity", "--images", "none.jpg"], "no picture at none.jpg"),
    "a file to convert": (["convert", "none.npy", "new.npz"], "no weights at none.npy"),
    "a checkpoint to convert": (["convert", "model.ckpt", "new.npz"], "no weights at model.ckpt"),
    "a format": (["convert", "none.npy", "new.h5"], "weights cannot be written as 'new.h5'; the suffix can be .npy, "),
    "nothing to fetch": (["download", "vgg17"], "there is nothing to fetch for 'vgg17'; published weights: vgg16, "),
    "another's file": (["download", "vgg16", "--from", "http://x/y.npy"], "http://x/y.npy is none of the files that "),
}


def python(code, folder, *arguments, given=""):
    """A fresh process in a folder."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run(
        [sys.executable, "-c", code, *arguments],
        input=given,
        capture_output=True,
        text=True,
        cwd=folder,
        env=environment,
        timeout=300,
    )


def runs(commands, folder):
    """What commands in one fresh process come to: exit code, what they print, and which libraries they brought."""
    result = python(RUN, folder, given=json.dumps(commands))
    assert result.returncode == 0, result.stderr
    return [json.loads(line) for line in result.stdout.splitlines()]


@pytest.fixture(scope="module")
def told(tmp_path_factory):
    folder = tmp_path_factory.mktemp("empty")
    found = runs([arguments for arguments, _ in WITHOUT.values()], folder)
    assert not list(folder.iterdir())  # nothing written
    return dict(zip(WITHOUT, found))


@pytest.mark.parametrize("case", WITHOUT)
def test_a_mistake_is_told_without_tensorflow(case, told):
    """Nor is matplotlib waited for."""
    code, out, err, brought = told[case]
    (line,) = err.splitlines()
    assert line.startswith(f"gradcam: {WITHOUT[case][1]}")
    assert (code, out, brought) == (2, "", [])


def test_networks_are_listed_and_arrays_converted_without_tensorflow(tmp_path):
    np.savez(tmp_path / "a.npz", **{"conv1/weights": np.ones((3, 3, 3, 4), np.float32)})
    listed, converted = runs([["networks"], ["convert", "a.npz", "b.npy"]], tmp_path)
    assert (listed[0], listed[2:]) == (0, ["", []])
    assert "vgg19" in listed[1] and "conv5_4 (default)" in listed[1]
    assert converted == [0, "b.npy: 1 arrays, 108 numbers\n", "", []]
    assert list(slim_models.read_weights(tmp_path / "b.npy")) == ["conv1/weights"]


def test_a_failed_download_is_told_without_tensorflow(tmp_path):
    command = ["download", "vgg16", "--from", "http://127.0.0.1:9/vgg16.npy", "--dir", "new"]
    ((code, _, err, brought),) = runs([command], tmp_path)
    assert (code, brought) == (2, [])
    assert err.splitlines() == [
        "gradcam: no source gave the weights of vgg16:",
        "  http://127.0.0.1:9/vgg16.npy: the server cannot be reached",
    ]
    assert not list(tmp_path.iterdir())


def test_weights_of_the_user_s_own_may_have_any_classes(tmp_path, monkeypatch, capsys):
    """What is in a file that is found under a known name is not known before it is read."""
    network = slim_models.build("vgg16_tiny", image_size=64, num_classes=3, width_divisor=16)
    monkeypatch.setenv("GRADCAM_WEIGHTS", str(tmp_path))
    slim_models.write_weights(tmp_path / "vgg16_tiny.npy", slim_models.random_weights(network))
    (tmp_path / "names.txt").write_text("cat\ndog\nbird\n")
    command = ["explain", "sample:coffee", "--network", "vgg16_tiny", "--labels", str(tmp_path / "names.txt")]
    assert main([*command, "--target", "bird", "--write", "overlay", "--out", str(tmp_path / "out")]) == 0
    capsys.readouterr()
    assert main([*command, "--target", "birds", "--out", str(tmp_path / "other")]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line == "gradcam: no class 'birds' among the 3 of vgg16_tiny; similar: 2 (bird)"


def test_a_class_of_other_networks_says_which(capsys):
    assert main(["explain", "sample:chelsea", *TINY, "--target", "tiger cat"]) == 2
    line = capsys.readouterr().err
    assert line.startswith("gradcam: no class 'tiger cat' among the 200 of resnet_v1_50_tiny (Tiny ImageNet); ")
    assert "ImageNet's networks have it: --network efficientnet_lite0, for one" in line
    assert "; similar: " in line and "Persian cat" in line and "tiger" not in line.partition("similar")[2]
    with pytest.raises(KeyError, match="among 200; similar"):  # no flags where there is no network
        slim_models.read_labels("tiny_imagenet").index("tiger cat")


def test_the_networks_that_are_named_for_a_list_have_it():
    from slim_models import labels

    assert {name: NETWORKS[network].labels for name, network in labels._KNOWN_BY.items()} == dict(
        zip(labels.LISTS, labels.LISTS)
    )


QUIET = """
import sys
sys.path.insert(0, "")
import gradcam
if len(sys.argv) > 1:
    gradcam.quiet_tensorflow()
    gradcam.quiet_tensorflow()  # twice is as good as once
assert "tensorflow" not in sys.modules
import tensorflow
tensorflow.session()
print(tensorflow)
"""


@pytest.mark.parametrize("quiet", [False, True])
def test_quiet_tensorflow_is_one_call_before_the_import(quiet, tmp_path):
    """TensorFlow here is a module that writes where its C++ does, and warns where its Python does."""
    (tmp_path / "tensorflow.py").write_text(
        "import os, logging\nos.write(2, b'chatter\\n')\n"
        "def session(): logging.getLogger('tensorflow').warning('deprecated')\n"
    )
    result = python(QUIET, tmp_path, *["quiet"] * quiet)
    assert result.returncode == 0, result.stderr
    assert "tensorflow.py" in result.stdout  # it is found where it always is
    assert result.stderr == ("" if quiet else "chatter\ndeprecated\n")


def test_what_was_held_back_is_shown_if_the_import_fails(tmp_path):
    (tmp_path / "tensorflow.py").write_text(
        "import os\nos.write(2, b'why it fails')\nraise ImportError('no such CPU')\n"
    )
    code = "import sys; sys.path.insert(0, ''); import gradcam; gradcam.quiet_tensorflow(); import tensorflow"
    result = python(code, tmp_path)
    assert result.returncode == 1
    assert result.stderr.startswith("why it fails") and result.stderr.endswith("ImportError: no such CPU\n")


def test_who_does_not_want_quiet_gets_no_switch(monkeypatch):
    before = list(sys.meta_path)
    with quiet_tensorflow(False):
        assert sys.meta_path == before


def test_the_readme_s_program_prints_nothing(tmp_path):
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    code = re.search(r"## In Python\n\n```python\n(.*?)```", readme, re.DOTALL)[1]
    result = python(code + "\nassert picture.shape == (400, 600, 3)", tmp_path)
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")
