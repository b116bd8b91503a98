"""scripts/caffe_reference.py on a Caffe made of NumPy: what it writes are the numbers of the real Caffe."""

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import prototxt
import pytest
from formats import write_caffemodel
from PIL import Image
from reference_data import DATA

import gradcam
import slim_models
from slim_models.weights import random_weights

TESTS = Path(__file__).parents[1]
SCRIPT = TESTS.parent / "scripts" / "caffe_reference.py"
SEEDS = {"vgg16": 1, "resnet_v1_50": 2}
FLAGS = {"vgg16": [], "resnet_v1_50": ["--rgb"]}


def run(folder, *arguments, caffe=True):
    environment = {**os.environ, "PYTHONPATH": str(TESTS / "helpers" / "fake_caffe") if caffe else ""}
    command = [sys.executable, SCRIPT, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=300, cwd=folder, env=environment)


def net(name, **options):
    return prototxt.vgg(112, 20, 8, **options) if name == "vgg16" else prototxt.resnet_v1_50(112, 20, 8)


@pytest.fixture(scope="module")
def weights():
    build = {"image_size": 112, "num_classes": 20, "width_divisor": 8}
    return {name: random_weights(slim_models.build(name, **build), seed) for name, seed in SEEDS.items()}


@pytest.fixture(scope="module", params=SEEDS)
def name(request):
    return request.param


@pytest.fixture
def deployed(name, weights, tmp_path):
    """A folder with deploy.prototxt, net.caffemodel (of a caffemodel's format) and images.npy."""
    (tmp_path / "deploy.prototxt").write_text(net(name))
    write_caffemodel(tmp_path / "net.caffemodel", prototxt.caffe_layers(weights[name]))
    with np.load(DATA / f"caffe_{name}.npz") as real:
        np.save(tmp_path / "images.npy", real["images"])
    return tmp_path


def assert_as_real_caffe(written, name, layer):
    """Every array of the real Caffe's file to 1e-5 of its peak."""
    with np.load(DATA / f"caffe_{name}.npz") as real:
        for key in real.files:
            theirs, ours = real[key], written[key.replace("relu5_3", layer)]
            ours = ours[:, : theirs.shape[1]] if key.endswith("_input") else ours  # there for one class alone
            assert ours.shape == theirs.shape
            peak = np.abs(theirs.astype(np.float64)).max()
            assert np.abs(ours.astype(np.float64) - theirs).max() <= 1e-5 * peak, key


def test_what_it_writes_is_what_real_caffe_computed_and_compare_reads_it(deployed, name, weights):
    arguments = ["deploy.prototxt", "net.caffemodel", "images.npy", "--classes", 7, "--out", "new/reference.npz"]
    result = run(deployed, *arguments, *FLAGS[name])
    assert result.returncode == 0, result.stderr
    layer = {"vgg16": "conv5_3", "resnet_v1_50": "block4"}[name]
    assert f"layer {layer}, logits" in result.stdout
    with np.load(deployed / "new" / "reference.npz") as file:
        written = dict(file)
    assert_as_real_caffe(written, name, layer)
    assert list(deployed.glob("new/*")) == [deployed / "new" / "reference.npz"]
    comparison = gradcam.compare(written, name, weights[name])
    assert comparison.passed, str(comparison)
    assert {row.array for row in comparison.rows} == written.keys() - {"images", "classes"}


@pytest.mark.parametrize("layer", [None, "relu5_3"])
def test_relus_with_tops_of_their_own(deployed, name, layer):
    if name != "vgg16":
        pytest.skip("the ResNet is written in place")
    (deployed / "deploy.prototxt").write_text(net(name, in_place=False) + "\nforce_backward: false\n")
    flags = ["--layer", layer] if layer else []
    arguments = ["deploy.prototxt", "net.caffemodel", "images.npy", "--classes", 7, *flags]
    assert run(deployed, *arguments).returncode == 0
    with np.load(deployed / "reference.npz") as written:
        assert_as_real_caffe(written, name, "relu5_3")


def test_pictures_of_another_size_are_resized_and_stored_as_fed(deployed, name):
    Image.fromarray(np.full((80, 200, 3), (250, 10, 20), np.uint8)).save(deployed / "red.png")
    arguments = ["deploy.prototxt", "net.caffemodel", "red.png", "--classes", 3, 4, "--only", *FLAGS[name]]
    result = run(deployed, *arguments)
    assert result.returncode == 0, result.stderr
    assert "red.png: 200 x 80, resized" in result.stdout
    with np.load(deployed / "reference.npz") as written:
        assert (written["images"] == np.array([250, 10, 20], np.uint8)).all()
        assert written["images"].shape == (1, 112, 112, 3)
        assert written["classes"].tolist() == [[3, 4]]
        red = written["input"][0, 0, 0][2 if name == "vgg16" else 0]
        assert red == pytest.approx(250 - 123.68, abs=1e-4)


MISTAKES = {
    "a layer before its ReLU": (["--layer", "conv5_3"], "'conv5_3' is before its ReLU; take --layer relu5_3"),
    "a layer without a map": (["--layer", "relu7"], "takes maps that a layer below the logits makes; blob 'relu7' is"),
    "the picture": (["--layer", "data"], "takes maps that a layer below the logits makes; blob 'data'"),
    "a layer above the logits": (["--layer", "relu5_3", "--logits", "relu4_1"], "blob 'relu5_3' is"),
    "no such layer": (["--layer", "conv6_1"], "no blob or layer 'conv6_1'; the blobs are data, conv1_1"),
    "a class out of range": (["--classes", "20"], r"classes are 0 to 19, not \[20\]"),
}


@pytest.mark.parametrize("case", MISTAKES)
def test_mistakes_are_one_line(deployed, name, case):
    if name != "vgg16":
        pytest.skip("once is enough")
    flags, message = MISTAKES[case]
    (deployed / "deploy.prototxt").write_text(net(name, in_place=False))
    result = run(deployed, "deploy.prototxt", "net.caffemodel", "images.npy", *flags)
    assert result.returncode == 2
    assert re.search(message, result.stderr)
    assert result.stderr.count("\n") == 1
    assert not (deployed / "reference.npz").exists()


@pytest.mark.parametrize(
    ("arguments", "caffe", "message"),
    [
        (["none.prototxt", "net.caffemodel", "images.npy"], True, "no file none.prototxt"),
        (["deploy.prototxt", "net.caffemodel", "none.png"], True, "no picture none.png"),
        (["deploy.prototxt", "net.caffemodel", "deploy.prototxt"], True, "deploy.prototxt cannot be read"),
        (["deploy.prototxt", "net.caffemodel", "images.npy"], False, "inside a Caffe environment"),
    ],
)
def test_missing_things_are_named(deployed, name, arguments, caffe, message):
    if name != "vgg16":
        pytest.skip("once is enough")
    result = run(deployed, *arguments, caffe=caffe)
    assert (result.returncode, result.stderr.count("\n")) == (2, 1)
    assert message in result.stderr


def test_nothing_flows_backwards_without_force_backward(deployed, name, monkeypatch):
    """The fake is as strict as Caffe: the script's own line is what makes gradients come."""
    monkeypatch.syspath_prepend(str(TESTS / "helpers" / "fake_caffe"))
    import caffe

    network = caffe.Net(deployed / "deploy.prototxt", deployed / "net.caffemodel", caffe.TEST)
    logits = {"vgg16": "fc8", "resnet_v1_50": "logits"}[name]
    network.blobs[logits].diff[...] = 1
    network._backward(network._layer_names.index(logits), 0)
    assert not network.blobs["data"].diff.any()
