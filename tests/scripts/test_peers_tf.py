"""The TensorFlow peers of the benchmark do the work that they are timed for: their maps are ours."""

import importlib
import importlib.util

import numpy as np
import pytest
from peers.keras_networks import KerasPeer
from scripted import close

# Of the libraries; Keras 3 and SciPy warn of what they use.
pytestmark = pytest.mark.filterwarnings("ignore")


def peer_of(module, whole):
    if module != "public_tf1" and importlib.util.find_spec(module) is None:
        pytest.skip(f"{module} is not installed: pip install -r scripts/benchmark-requirements.txt")
    return importlib.import_module(f"peers.{module}").Peer(whole.network.name, whole.weights, "float32")


def test_the_keras_networks_are_ours(whole):
    peer = KerasPeer(whole.network.name, whole.weights, "float32")
    expected = whole.explainer.predict(whole.images)
    np.testing.assert_allclose(peer.model(peer.prepared(whole.images)), expected, atol=1e-4 * np.abs(expected).max())


@pytest.mark.parametrize("module", ["public_tf1", "tf_keras_vis", "xplique"])
def test_maps_and_guided_backprop_are_ours(whole, module):
    peer = peer_of(module, whole)
    for targets in (None, np.array([3, 1, 4])):
        expected = whole.explainer.explain(whole.images, targets)
        found = peer.run("both", whole.images, targets)
        assert set(found) == {"cam", "guided"}
        close(found["cam"], expected.cam())
        close(found["guided"], expected.saliency["guided"])
        for task in ("cam", "guided"):
            alone = peer.run(task, whole.images, targets)
            assert set(alone) == {task}
            close(alone[task], found[task])


def test_tf_explain_knows_the_maps_alone(whole):
    peer = peer_of("tf_explain", whole)
    for targets in (None, np.array([3, 1, 3])):
        found = peer.run("cam", whole.images, targets)
        assert set(found) == {"cam"}
        close(found["cam"], whole.explainer.explain(whole.images, targets).cam())
    for task in ("guided", "both"):
        with pytest.raises(NotImplementedError, match="no guided backprop"):
            peer.run(task, whole.images, None)


@pytest.mark.parametrize("module", ["public_tf1", "tf_keras_vis", "tf_explain", "xplique"])
def test_classes_of_one_picture(whole, module):
    targets = np.array([5, 0, 5, 9])
    found = peer_of(module, whole).run("classes", whole.images[:1], targets)
    pictures = np.repeat(whole.images[:1], len(targets), axis=0)
    close(found["cam"], whole.explainer.explain(pictures, targets).cam())
