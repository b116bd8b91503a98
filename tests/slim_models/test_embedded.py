"""The embedded networks do what the README shows, on photographs that are not of their data set."""

import hashlib
import re
from pathlib import Path

import numpy as np
import pytest

import slim_models
from gradcam.explainer import Explainer
from gradcam.pictures import samples
from gradcam.pictures.photograph import FITS, fit_image

ROOT = Path(__file__).parents[2]
CATS = ["tabby", "Persian cat", "Egyptian cat"]
CLASSES = {"chelsea": CATS, "coffee": ["espresso"]}
NETWORKS = ["resnet_v1_50_tiny", "vgg16_tiny"]


@pytest.fixture(scope="module", params=NETWORKS)
def explainer(request):
    with Explainer(slim_models.build(request.param)) as explainer:
        yield explainer


def fitted(name, fit):
    return fit_image(samples.SAMPLES[name](), (112, 112), fit)


@pytest.mark.parametrize("fit", FITS)
@pytest.mark.parametrize("name", CLASSES)
def test_photographs_are_recognised(explainer, name, fit):
    """The VGG16 takes the cat close up for a cougar, and for an Egyptian cat at the second look."""
    logits = explainer.explain(fitted(name, fit)[None]).logits[0]
    looks = 2 if (explainer.network.name, name, fit) == ("vgg16_tiny", "chelsea", "crop") else 1
    seen = [explainer.labels.name(index) for index in np.argsort(-logits)[:looks]]
    assert set(seen) & set(CLASSES[name])


@pytest.mark.parametrize("target", [*CATS, "espresso"])
def test_each_classs_map_lies_on_its_own_object(explainer, target):
    """`cat_and_coffee`: the cat is the left half, the cup the right."""
    heatmap = explainer.explain(fitted("cat_and_coffee", "stretch")[None], target).heatmap()[0]
    left = heatmap[:, :56].sum() / heatmap.sum()
    assert left > 0.8 if target in CATS else left < 0.2


def test_the_files_are_those_that_the_readme_describes():
    readme = (ROOT / "weights" / "README.md").read_text(encoding="utf-8")
    sums = dict(re.findall(r"\| `(\S+_tiny\.\S+)` \| `([0-9a-f]{64})` \|", readme))
    assert set(sums) == {path.name for path in (ROOT / "weights").glob("*_tiny*")}
    for name, expected in sums.items():
        assert hashlib.sha256((ROOT / "weights" / name).read_bytes()).hexdigest() == expected


@pytest.mark.parametrize("name", NETWORKS)
def test_the_weights_are_finite_and_kernels_in_half_precision(name):
    weights = slim_models.read_weights(slim_models.find_weights(name))
    assert all(np.isfinite(array).all() for array in weights.values())
    assert {array.dtype for name, array in weights.items() if name.endswith("/weights")} == {np.dtype(np.float16)}


def test_the_readmes_python_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = {}
    (code,) = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), re.DOTALL)
    exec(code, names)
    assert names["picture"].shape == (400, 600, 3)
    assert names["explanation"].probabilities[0, 967] > 0.5  # espresso
