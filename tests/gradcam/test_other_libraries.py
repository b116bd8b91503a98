"""Methods and metrics beside other libraries' on the same arrays or small network; skipped where these are missing."""

import functools
import importlib.util
import json
import pathlib
import subprocess
import sys

import pytest

HELPERS = pathlib.Path(__file__).parents[1] / "helpers"
THEIRS = {
    "other_libraries": {
        "pytorch_grad_cam": [
            *("GradCAM", "XGradCAM", "HiResCAM", "LayerCAM", "GradCAMElementWise", "ScoreCAM", "AblationCAM"),
        ],
        "captum": ["IntegratedGradients", "InputXGradient"],
    },
    "other_metrics": {
        "quantus": [
            *("Sparseness", "Complexity", "RelevanceMassAccuracy", "RelevanceRankAccuracy", "PixelFlipping", "ROAD"),
            *("FaithfulnessCorrelation", "MaxSensitivity"),
        ],
        "captum": ["infidelity", "infidelity, normalize=True", "sensitivity_max"],
        "saliency": ["XRAI"],
    },
}
NAMES = [(program, library, name) for program in THEIRS for library, names in THEIRS[program].items() for name in names]


@functools.cache
def differences(program):
    """Name of a method or metric -> the largest difference of its values, over their greatest."""
    result = subprocess.run([sys.executable, HELPERS / f"{program}.py"], capture_output=True, text=True, timeout=300)
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout.splitlines()[-1])


@pytest.mark.parametrize(("program", "library", "name"), NAMES)
def test_ours_is_theirs(program, library, name):
    for needed in ("torch", library):
        if importlib.util.find_spec(needed) is None:
            pytest.skip(f"{needed} is not installed")
    assert differences(program)[name] < 1e-5
