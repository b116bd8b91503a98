"""Thin networks that the tests share: the production builders, an eighth as wide and less deep, on small images."""

import contextlib
import functools
import gc
import types

import numpy as np
import pytest
from scripted import as_script
from thin import SHALLOW, SIZES, THIN, less_deep

import slim_models
from gradcam import more_runs
from gradcam.explainer import Explainer
from slim_models.builders import building
from slim_models.weights import random_weights


def pytest_configure():
    """Graphs are many objects that stay: to look through them for what has gone as often as Python does takes long."""
    gc.set_threshold(50_000, 20, 20)


def pytest_collection_modifyitems(items):
    """What takes long in one piece begins first: at the end one of two processes would wait for it."""
    long = ["cluster", "docs", "fuzz", "notebook", "scripts", "structure", "typed_program"]
    items.sort(key=lambda item: item.path.stem.removeprefix("test_") not in long)


@pytest.fixture(scope="session", autouse=True)
def graphs_built_once():
    """Networks of the same sizes share a graph, in whatever test: graphs only grow, and what was added is used again.

    Building graphs is most of what the tests do. Each network keeps its own values, and each Explainer its session.
    A network as thin as `THIN` is shallow too, whoever builds it.
    """
    build = building._build
    graphs = {}

    def of_its_own(name, image_size, options, precision, unfolded=None):
        return build(name, image_size, less_deep(name, options), precision, unfolded)

    @functools.wraps(of_its_own)
    def shared(name, image_size, options, precision, unfolded=None):
        key = name, image_size, tuple(sorted(less_deep(name, options).items())), precision, str(unfolded)
        if key not in graphs or graphs[key].graph.finalized:  # some tests end the growing of theirs
            graphs[key] = of_its_own(name, image_size, options, precision, unfolded)
        return graphs[key]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(building, "_build", shared)
        yield


@pytest.fixture
def graph_of_its_own(monkeypatch):
    """For what counts a network's operations: nobody else adds to its graph."""
    monkeypatch.setattr(building, "_build", building._build.__wrapped__)


@pytest.fixture(scope="session")
def built():
    """Thin networks by their names, each built once; pytest ends what it calls `thin` at every change of the name."""
    with contextlib.ExitStack() as stack:

        @functools.cache
        def build(name, whole=False):
            network = slim_models.build(name, image_size=SIZES[name], **THIN)
            weights = random_weights(network)
            images = np.random.default_rng(0).uniform(0, 255, (3, SIZES[name], SIZES[name], 3)).astype(np.float32)
            explainer = stack.enter_context(Explainer(network, weights, rules=slim_models.RULES))
            return types.SimpleNamespace(network=network, weights=weights, explainer=explainer, images=images)

        yield build


@pytest.fixture(scope="session", params=SIZES)
def thin(request, built):
    """A thin network with its weights: `.network`, `.weights`, `.explainer` (every rule), `.images`."""
    return built(request.param)


@pytest.fixture(params=SIZES)
def whole(request, built, monkeypatch):
    """As `thin`, of the published depth: for what counts its layers, or builds it again by its name."""
    deeper = request.param in SHALLOW
    monkeypatch.delitem(SHALLOW, request.param, raising=False)
    return built(request.param, whole=deeper)


@pytest.fixture(scope="module")
def few_runs():
    """Methods that are means over many runs of a network take a few; what they compute of them stays the same."""
    with pytest.MonkeyPatch.context() as patch:
        for kind, count in {"samples": 3, "steps": 3, "masks": 20}.items():
            patch.setitem(more_runs.COUNTS, kind, count)
        yield more_runs.COUNTS


@pytest.fixture(scope="session")
def scripted_once(built, tmp_path_factory):
    """The same as a script has them."""
    with contextlib.ExitStack() as stack:

        @functools.cache
        def script(name):
            rules = ("guided", "deconvnet")
            folder = tmp_path_factory.mktemp("weights")
            return stack.enter_context(as_script(name, built(name).weights, folder, layer_rules=rules))

        yield script


@pytest.fixture(scope="session")
def thin_script(thin, scripted_once):
    """A thin network as a script has it, which knows the sizes only from the weights: `.flags`, `.explainer`."""
    return scripted_once(thin.network.name)
