"""A small typed program of a user's: names that are imported when they are first used keep their types."""

import os
import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).parent.parent
STRICT = """# mypy: disallow-subclassing-any, disallow-untyped-calls, disallow-untyped-defs
# mypy: disallow-incomplete-defs, disallow-untyped-decorators, warn-return-any, strict-equality, extra-checks
"""
PROGRAM = """
import numpy as np
from typing_extensions import assert_type

import gradcam
import slim_models
from gradcam import Explainer, Explanation, Mistake, read_photograph
from gradcam.evaluation import BoxProtocol, Localization
from gradcam.pictures import Photograph
from slim_models import Network


def explain(path: str, target: str) -> np.ndarray:
    photograph = read_photograph(path)
    assert_type(photograph, Photograph)
    network = slim_models.open_network("resnet_v1_50_tiny", image_size=112, say=print)
    assert_type(network, Network)
    assert_type(network.image_size, tuple[int, int])
    with Explainer(network, rules=["guided"]) as explainer:
        explanation = explainer.explain(photograph.fitted(network.image_size)[None], target)
    assert_type(explanation, Explanation)
    assert_type(explanation.cam("layer_cam"), np.ndarray)
    assert_type(slim_models.random_weights(network), dict[str, np.ndarray])
    return photograph.overlay(photograph.heatmap(explanation.cam()[0]))


def told(path: str) -> str:
    try:
        explain(path, "espresso")
    except Mistake as mistake:
        return str(mistake)
    return gradcam.__version__


protocol = BoxProtocol(threshold=0.2)
localization = Localization({}, protocol)
"""
WRONG = """
import slim_models
from gradcam import Explainer

explainer = Explainer(slim_models.open_network("vgg16"), layers=3)
explainer.explian(None)
"""


def checked(tmp_path, program):
    """Strictly, of the program; what it imports is checked as the project is, whose cache serves both."""
    path = tmp_path / "program.py"
    path.write_text(STRICT + program)
    options = ["--config-file", str(ROOT / "pyproject.toml"), "--cache-dir", str(ROOT / ".mypy_cache")]
    command = [sys.executable, "-m", "mypy", *options, str(path)]
    environment = {**os.environ, "MYPYPATH": str(ROOT)}
    result = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=tmp_path, timeout=300)
    return result.returncode, result.stdout


def test_mypy_knows_the_types(tmp_path):
    assert checked(tmp_path, PROGRAM) == (0, "Success: no issues found in 1 source file\n")


def test_mypy_finds_what_is_wrong(tmp_path):
    code, printed = checked(tmp_path, WRONG)
    assert code == 1
    assert 'Argument "layers" to "Explainer" has incompatible type "int"' in printed
    assert '"Explainer" has no attribute "explian"' in printed


def test_both_packages_say_that_they_are_typed():
    for package in ("slim_models", "gradcam"):
        assert (ROOT / package / "py.typed").is_file()
