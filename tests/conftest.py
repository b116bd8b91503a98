"""Thin networks that the tests share: the production builders, an eighth as wide, on small images."""

import types

import numpy as np
import pytest
from scripted import as_script
from thin import SIZES, THIN

import slim_models
from gradcam import more_runs
from gradcam.explainer import Explainer
from slim_models.weights import random_weights


@pytest.fixture(scope="session", params=SIZES)
def thin(request):
    """A thin network with its weights: `.network`, `.weights`, `.explainer` (every rule), `.images`."""
    name = request.param
    network = slim_models.build(name, image_size=SIZES[name], **THIN)
    weights = random_weights(network)
    images = np.random.default_rng(0).uniform(0, 255, (3, SIZES[name], SIZES[name], 3)).astype(np.float32)
    with Explainer(network, weights, rules=slim_models.RULES) as explainer:
        yield types.SimpleNamespace(network=network, weights=weights, explainer=explainer, images=images)


@pytest.fixture(scope="module")
def few_runs():
    """Methods that are means over many runs of a network take a few; what they compute of them stays the same."""
    with pytest.MonkeyPatch.context() as patch:
        for kind, count in {"samples": 3, "steps": 3, "masks": 20}.items():
            patch.setitem(more_runs.COUNTS, kind, count)
        yield more_runs.COUNTS


@pytest.fixture(scope="session")
def thin_script(thin, tmp_path_factory):
    """A thin network as a script has it, which knows the sizes only from the weights: `.flags`, `.explainer`."""
    rules = ("guided", "deconvnet")
    with as_script(thin.network.name, thin.weights, tmp_path_factory.mktemp("weights"), layer_rules=rules) as script:
        yield script
