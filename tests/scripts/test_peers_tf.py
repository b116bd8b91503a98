"""The TensorFlow peers of the benchmark do the work that they are timed for: their maps are ours."""

import importlib
import importlib.util

import numpy as np
import pytest
from peers.keras_networks import KerasPeer
from scripted import close

# Of the libraries; Keras 3 and SciPy warn of what they use.
pytestmark = pytest.mark.filterwarnings("ignore")


def peer_of(module, thin):
    if module != "public_tf1" and importlib.util.find_spec(module) is None:
        pytest.skip(f"{module} is not installed: pip install -r scripts/benchmark-requirements.txt")
    return importlib.import_module(f"peers.{module}").Peer(thin.network.name, thin.weights, "float32")


def test_the_keras_networks_are_ours(thin):
    peer = KerasPeer(thin.network.name, thin.weights, "float32")
    expected = thin.explainer.predict(thin.images)
    np.testing.assert_allclose(peer.model(peer.prepared(thin.images)), expected, atol=1e-4 * np.abs(expected).max())


@pytest.mark.parametrize("module", ["public_tf1", "tf_keras_vis", "xplique"])
def test_maps_and_guided_backprop_are_ours(thin, module):
    peer = peer_of(module, thin)
    for targets in (None, np.array([3, 1, 4])):
        expected = thin.explainer.explain(thin.images, targets)
        found = peer.run("both", thin.images, targets)
        assert set(found) == {"cam", "guided"}
        close(found["cam"], expected.cam())
        close(found["guided"], expected.saliency["guided"])
        for task in ("cam", "guided"):
            alone = peer.run(task, thin.images, targets)
            assert set(alone) == {task}
            close(alone[task], found[task])


def test_tf_explain_knows_the_maps_alone(thin):
    peer = peer_of("tf_explain", thin)
    for targets in (None, np.array([3, 1, 3])):
        found = peer.run("cam", thin.images, targets)
        assert set(found) == {"cam"}
        close(found["cam"], thin.explainer.explain(thin.images, targets).cam())
    for task in ("guided", "both"):
        with pytest.raises(NotImplementedError, match="no guided backprop"):
            peer.run(task, thin.images, None)


@pytest.mark.parametrize("module", ["public_tf1", "tf_keras_vis", "tf_explain", "xplique"])
def test_classes_of_one_picture(thin, module):
    targets = np.array([5, 0, 5, 9])
    found = peer_of(module, thin).run("classes", thin.images[:1], targets)
    pictures = np.repeat(thin.images[:1], len(targets), axis=0)
    close(found["cam"], thin.explainer.explain(pictures, targets).cam())
