"""What tests of scripts share: a thin network as a script has it, and the numbers that a script wrote."""

import contextlib
import json
import types

import numpy as np
from PIL import Image

import slim_models
from gradcam.explainer import Explainer


@contextlib.contextmanager
def as_script(name, weights, folder, **options):
    """A network that knows its sizes only from its weights: `.flags`, `.explainer`, `.network`, `.weights`."""
    path = folder / "thin.npz"
    slim_models.write_weights(path, weights)
    network = slim_models.build_for(name, weights)
    flags = ["--network", network.name, "--weights", str(path)]
    with Explainer(network, weights, **options) as explainer:
        yield types.SimpleNamespace(network=network, weights=weights, explainer=explainer, flags=flags)


def checked(out):
    """The numbers beside a figure of 300 dpi."""
    with Image.open(out) as figure:
        assert figure.width > 1500
        assert np.asarray(figure.convert("RGB")).std() > 10
    return json.loads(out.with_suffix(".json").read_text())


def close(found, expected):
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-4 * np.abs(expected).max() + 1e-12)


def calmed(thin):
    """A thin network's weights, the last layer divided until it is in doubt; its probabilities are 0 and 1 before."""
    factor = np.float32(1 / thin.explainer.predict(thin.images).std())
    last = ("fc8/weights", "fc8/biases", "/logits/weights", "/logits/biases")
    return {name: factor * array if name.endswith(last) else array for name, array in thin.weights.items()}
