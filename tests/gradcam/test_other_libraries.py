"""Methods beside those of captum and pytorch-grad-cam on the same small network; skipped where these are missing."""

import importlib.util
import json
import pathlib
import subprocess
import sys

import pytest

PROGRAM = pathlib.Path(__file__).parents[1] / "helpers" / "other_libraries.py"
THEIRS = {
    "pytorch_grad_cam": [
        *("GradCAM", "XGradCAM", "HiResCAM", "LayerCAM", "GradCAMElementWise", "ScoreCAM", "AblationCAM"),
    ],
    "captum": ["IntegratedGradients", "InputXGradient"],
}


@pytest.fixture(scope="module")
def differences():
    """Name of a method -> the largest difference of its values, over their greatest."""
    result = subprocess.run([sys.executable, PROGRAM], capture_output=True, text=True, timeout=300)
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout.splitlines()[-1])


@pytest.mark.parametrize(("library", "name"), [(library, name) for library in THEIRS for name in THEIRS[library]])
def test_our_method_is_theirs(library, name, request):
    for needed in ("torch", library):
        if importlib.util.find_spec(needed) is None:
            pytest.skip(f"{needed} is not installed")
    assert request.getfixturevalue("differences")[name] < 1e-4
