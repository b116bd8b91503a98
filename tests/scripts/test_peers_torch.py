"""The PyTorch peers of the benchmark do the work that they are timed for: their maps are ours.

Each in a process of its own, as in the benchmark: PyTorch and TensorFlow in one process have been seen to crash.
"""

import subprocess
import sys

import numpy as np
import pytest
from benchmarking.agreement import THRESHOLDS, correlations
from benchmarking.processes import SCRIPTS, Task, Worker
from peers import PEERS, pictures
from peers.arrays import write_arrays

import slim_models
from gradcam.explainer import Explainer
from slim_models.weights import random_weights

NAMES = ["plain_torch", "plain_torch_unfolded", "captum", "pytorch_grad_cam", "torchcam"]


def skip_without(name):
    missing = PEERS[name].missing()
    if missing:
        pytest.skip(f"{', '.join(missing)} not installed: pip install -r scripts/benchmark-requirements.txt")


@pytest.fixture(scope="module")
def arrays(thin, tmp_path_factory):
    """The folder of a thin network's weights."""
    folder = tmp_path_factory.mktemp("arrays")
    write_arrays(folder, thin.weights)
    return folder


@pytest.fixture
def ask(thin, arrays, tmp_path):
    """ask(name, precision, requests...) -> the maps of each."""

    def ask(name, precision, *requests):
        skip_without(name)
        size = thin.network.image_size[0]
        with Worker(name, Task(thin.network.name, arrays, arrays, size, precision)) as worker:
            found = []
            for request in requests:
                worker.ask(**request, save=str(tmp_path / "maps.npz"))
                with np.load(tmp_path / "maps.npz") as maps:
                    found.append(dict(maps))
            return found

    return ask


LOGITS = """
import pathlib, sys, numpy as np
from peers import pictures, torch_networks
from peers.arrays import Arrays
name, folder, size, out = sys.argv[1:]
found = []
for fold in (False, True):
    network = torch_networks.build(name, Arrays(pathlib.Path(folder)), fold=fold)
    found.append(network(network.inputs(pictures.draw(3, int(size)))).detach().numpy())
np.save(out, found)
"""


def test_the_logits_are_ours(thin, arrays, tmp_path):
    skip_without("plain_torch")
    size = thin.network.image_size[0]
    command = [sys.executable, "-c", LOGITS, thin.network.name, arrays, str(size), tmp_path / "logits.npy"]
    subprocess.run(command, cwd=SCRIPTS, check=True, timeout=120)
    expected = thin.explainer.predict(pictures.draw(3, size))
    for found in np.load(tmp_path / "logits.npy"):  # with batch norm as it is, and folded
        np.testing.assert_allclose(found, expected, atol=1e-4 * np.abs(expected).max())


def test_efficientnet_lite0_is_ours(tmp_path):
    skip_without("plain_torch")
    network = slim_models.build("efficientnet_lite0", image_size=64, width_divisor=8, num_classes=10)
    weights, images, targets = random_weights(network), pictures.draw(2, 64), [3, 1]
    write_arrays(tmp_path / "arrays", weights)
    with Worker("plain_torch", Task(network.name, tmp_path / "arrays", tmp_path / "arrays", 64, "float32")) as worker:
        worker.ask(task="both", batch=2, targets=targets, save=str(tmp_path / "maps.npz"))
    with Explainer(network, weights) as explainer, np.load(tmp_path / "maps.npz") as maps:
        expected = explainer.explain(images, targets)
        assert alike({"cam": expected.cam(), "guided": expected.saliency["guided"]}, dict(maps)) > 0.9999


@pytest.mark.parametrize("name", NAMES)
def test_the_maps_are_ours(name, thin, ask):
    tasks = PEERS[name].tasks
    classes = [5, 0, 5, 9]
    asked = [{"task": task, "batch": 3} for task in tasks if task != "classes"]
    asked += [{**request, "targets": [3, 1, 4]} for request in asked]
    images = pictures.draw(3, thin.network.image_size[0])
    *found, of_classes = ask(name, "float32", *asked, {"task": "classes", "batch": 1, "targets": classes})
    for request, maps in zip(asked, found):
        expected = thin.explainer.explain(images, request.get("targets"))
        kinds = {"cam": expected.cam(), "guided": expected.saliency["guided"]}
        if request["task"] != "both":
            kinds = {request["task"]: kinds[request["task"]]}
        assert alike(kinds, maps) > 0.9999
    assert alike({"cam": thin.explainer.explain_classes(images[0], classes).cam()}, of_classes) > 0.9999


@pytest.mark.parametrize("name", [name for name in NAMES if "bfloat16" in PEERS[name].precisions])
def test_bfloat16_is_nearly_the_same(name, thin, ask):
    (found,) = ask(name, "bfloat16", {"task": "cam", "batch": 3, "targets": [5, 0, 5]})
    assert found["cam"].dtype == np.float32
    expected = thin.explainer.explain(pictures.draw(3, thin.network.image_size[0]), [5, 0, 5])
    assert alike({"cam": expected.cam()}, found) > THRESHOLDS["bfloat16"]


def alike(expected, found):
    """The least correlation, at the pictures' size: some libraries enlarge the cams, and scale them as they please."""
    size = found["cam"].shape[1] if "guided" not in found else found["guided"].shape[1]
    return min(correlations(expected, found, side=size).values())
